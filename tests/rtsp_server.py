"""An RTSP camera to test against: GStreamer's RTSP server, told what to do line by line on its standard input.

Run by Debian's own Python (`/usr/bin/python3`), which has GStreamer's bindings. It prints one JSON object a line:
the port first, then the answer to each command. Commands: `size 320x240` (changes the resolution of the running
stream), `freeze` and `flow` (stop sending, and go on), `garbage` (damage the packets) and `sound` (no longer),
`drop` (close all connections), `quit`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)

_ENCODERS = {
    "h264": "x264enc tune=zerolatency sliced-threads=false threads=1 speed-preset=ultrafast"
    " key-int-max={fps} bitrate=800 ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} ! rtph265pay name=pay0 pt=96"
    " config-interval=-1",
    "mjpeg": "jpegenc quality=80 ! rtpjpegpay name=pay0 pt=26",
    "l16": "",
}


def pipeline(codec, size, fps):
    width, height = size
    if codec == "l16":  # sound alone: a stream without a picture
        return "( audiotestsrc is-live=true ! audioconvert ! rtpL16pay name=pay0 pt=97 )"
    return (
        f"( videotestsrc is-live=true pattern=ball name=source ! capsfilter name=size "
        f"caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! "
        f"timeoverlay ! {_ENCODERS[codec].format(fps=fps)} )"
    )


class Camera(GstRtspServer.RTSPMediaFactory):
    """Makes the stream, and holds what the commands act upon."""

    def __init__(self, arguments):
        super().__init__()
        self.arguments = arguments
        self.size = arguments.size
        self.frozen = False
        self.garbage = self.own = False
        self.capsfilter = None
        self.set_shared(True)

    def do_create_element(self, url):
        element = Gst.parse_launch(pipeline(self.arguments.codec, self.size, self.arguments.fps))
        self.capsfilter = element.get_by_name("size")
        payloader = element.get_by_name("pay0")
        payloader.get_static_pad("src").add_probe(
            Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, self.on_packet
        )
        return element

    def on_packet(self, pad, info):
        if self.frozen:
            return Gst.PadProbeReturn.DROP
        if not self.garbage or self.own:
            return Gst.PadProbeReturn.OK
        # what passes here must not be written to: copies go on in its place
        several = info.type & Gst.PadProbeType.BUFFER_LIST
        packets = info.get_buffer_list() if several else None
        buffers = [packets.get(i) for i in range(packets.length())] if packets else [info.get_buffer()]
        self.own = True
        for buffer in buffers:
            data = bytearray(buffer.extract_dup(0, buffer.get_size()))
            # the RTP header and the head of the slice stay, so that the noise arrives at the decoder
            data[24:] = os.urandom(max(len(data) - 24, 0))
            pad.push(Gst.Buffer.new_wrapped(bytes(data)))
        self.own = False
        return Gst.PadProbeReturn.DROP

    def resize(self, size):
        self.size = size
        if self.capsfilter is not None:
            width, height = size
            caps = f"video/x-raw,format=I420,width={width},height={height},framerate={self.arguments.fps}/1"
            self.capsfilter.set_property("caps", Gst.Caps.from_string(caps))


def certificate():
    folder = Path(tempfile.mkdtemp(prefix="rtsp-server-"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def say(**answer):
    print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--codec", default="h264", choices=sorted(_ENCODERS))
    parser.add_argument("--size", default="320x240", type=lambda s: tuple(map(int, s.split("x"))))
    parser.add_argument("--fps", type=int, default=20)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--only-udp", action="store_true")
    arguments = parser.parse_args()

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    camera = Camera(arguments)
    if arguments.only_udp:
        camera.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    auth = None
    folder = None
    if arguments.tls:
        folder = certificate()
        auth = GstRtspServer.RTSPAuth()
        auth.set_tls_certificate(
            Gio.TlsCertificate.new_from_files(str(folder / "cert.pem"), str(folder / "key.pem"))
        )
    if arguments.user or arguments.tls:
        auth = auth or GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        if not arguments.user:
            auth.set_default_token(token)
        elif arguments.digest:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(arguments.user, arguments.password, token)
        else:
            basic = GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password)
            auth.add_basic(basic, token)
        permissions = GstRtspServer.RTSPPermissions()
        for right in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("viewer", right, True)
        camera.set_permissions(permissions)
    if auth is not None:
        server.set_auth(auth)
    server.get_mount_points().add_factory("/cam", camera)
    if server.attach(None) == 0:
        sys.exit("the port is taken")
    loop = GLib.MainLoop()
    say(port=server.get_bound_port(), certificate=str(folder / "cert.pem") if folder else "")

    def obey(line):
        command, _, rest = line.partition(" ")
        if command == "size":
            camera.resize(tuple(map(int, rest.split("x"))))
        elif command in {"freeze", "flow"}:
            camera.frozen = command == "freeze"
        elif command in {"garbage", "sound"}:
            camera.garbage = command == "garbage"
        elif command == "drop":
            server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        elif command == "clients":
            say(clients=len(server.client_filter(None) or []))
            return False
        elif command == "quit":
            loop.quit()
        say(done=command)
        return False

    def listen():
        for line in sys.stdin:
            GLib.idle_add(obey, line.strip())
        GLib.idle_add(loop.quit)

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
