"""Clips and folders that are broken, odd, or not there."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from camera_counting.errors import SourceError
from camera_counting.video import ClipWriter, PictureFolder, VideoFile, open_source


def write_clip(path, frames=30, fps=10, size=(96, 64), times=None, **options):
    """A noisy clip, so that its data has some length; index in front, so that a cut one can be opened."""
    rng = np.random.default_rng(0)
    with ClipWriter(path, fps, **options) as writer:
        for i in range(frames):
            writer.write(rng.integers(0, 255, (size[1], size[0], 3), np.uint8), times[i] if times else i / fps)
    return path


def write_by_hand(path, sizes=None, rotation=None, codec="libx264", audio=False):
    """A clip by PyAV itself, for what our writer never writes."""
    with av.open(str(path), "w") as container:
        if audio:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
            return path
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *sizes[0], "yuv420p"
        for i, (width, height) in enumerate(sizes):
            image = np.full((height, width, 3), 100, np.uint8)
            image[: height // 2] = 200
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def nothing(folder: Path) -> Path:
    return folder / "nothing.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("this is no clip at all\n" * 40)
    return folder / "text.mp4"


def sound(folder: Path) -> Path:
    return write_by_hand(folder / "sound.mp4", audio=True)


def headers_only(folder: Path) -> Path:
    clip = write_clip(folder / "whole.mp4")
    data = clip.read_bytes()
    (folder / "head.mp4").write_bytes(data[: data.index(b"mdat") + 20])
    return folder / "head.mp4"


def cut_without_index(folder: Path) -> Path:
    data = write_by_hand(folder / "whole.mp4", sizes=[(64, 48)] * 20).read_bytes()
    assert data.index(b"moov") > data.index(b"mdat")
    (folder / "cut.mp4").write_bytes(data[: data.index(b"moov") - 10])
    return folder / "cut.mp4"


def folder_without_pictures(folder: Path) -> Path:
    (folder / "readme.txt").write_text("none")
    return folder


def folder_of_broken_pictures(folder: Path) -> Path:
    (folder / "a.jpg").write_bytes(b"\xff\xd8 no picture")
    return folder


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (nothing, "expected a video file, found none; check the path"),
        (empty, r"it is empty \(0 bytes\)"),
        (text, "looks like a text file"),
        (sound, "expected a video stream, found only other ones"),
        (headers_only, "no frame can be read"),
        (cut_without_index, "cut off before it was closed"),
        (folder_without_pictures, "expected pictures .* found none in this folder"),
        (folder_of_broken_pictures, r"not one of 1 picture\(s\) can be read"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path, make, reason):
    path = make(tmp_path)
    with pytest.raises(SourceError, match=reason) as caught:
        list(open_source(path))
    assert path.name in str(caught.value)


def test_an_address_is_not_taken_for_a_file_and_a_password_never_echoed():
    with pytest.raises(SourceError, match=r"ftp://\*\*\*@camera/stream") as caught:
        open_source("ftp://user:secret@camera/stream")
    assert "secret" not in str(caught.value)


def test_a_truncated_clip_gives_what_is_left_and_says_so(tmp_path):
    data = write_clip(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * 0.6)])
    with open_source(tmp_path / "cut.mp4") as source:
        frames = list(source)
    assert 5 < len(frames) < 30
    assert len(source.problems) == 1
    assert "30 frames were announced" in source.problems[0] or "damaged" in source.problems[0]


def test_damage_in_the_middle_is_left_out_and_told(tmp_path):
    data = bytearray(write_clip(tmp_path / "whole.mp4").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    (tmp_path / "bad.mp4").write_bytes(bytes(data))
    with open_source(tmp_path / "bad.mp4") as source:
        frames = list(source)
    assert 5 < len(frames) <= 30
    assert source.problems
    assert [f.seconds for f in frames] == sorted({f.seconds for f in frames})


def test_times_are_those_of_the_clip_not_of_a_rate(tmp_path):
    times = [0.0, 0.1, 0.2, 1.5, 1.6, 4.0]
    clip = write_clip(tmp_path / "gaps.mp4", frames=6, times=times)
    with open_source(clip) as source:
        assert [frame.seconds for frame in source] == pytest.approx(times, abs=1e-4)


def write_stream(path, stamps, *, first=0.0):
    """A transport stream whose recorder had its own idea of time: `stamps` in seconds, from `first` on."""
    with av.open(str(path), "w", format="mpegts", options={"mpegts_copyts": "1"}) as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0", "g": "5", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        rng = np.random.default_rng(0)
        packets = []
        for i in range(len(stamps)):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (64, 96, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet, stamp in zip(packets, stamps, strict=True):
            packet.time_base = Fraction(1, 90_000)
            packet.pts = packet.dts = round((first + stamp) * 90_000)
            container.mux(packet)
    return path


def test_a_clock_that_wraps_round_goes_on(tmp_path):
    """MPEG's clock has 33 bits: it begins anew after 2 ** 33 / 90000 = 95443.7 seconds."""
    stamps = [i / 10 for i in range(40)]
    with open_source(write_stream(tmp_path / "wrap.ts", stamps, first=95443.7 - 2.0)) as source:
        assert [frame.seconds for frame in source] == pytest.approx(stamps, abs=0.002)


def test_a_recorders_clock_that_is_set_back_goes_on_with_the_usual_step(tmp_path):
    parts = [[50 + i / 10 for i in range(20)], [7 + i / 10 for i in range(20)]]
    files = [write_stream(tmp_path / f"{n}.ts", part).read_bytes() for n, part in enumerate(parts)]
    (tmp_path / "set.ts").write_bytes(b"".join(files))
    with open_source(tmp_path / "set.ts") as source:
        seconds = [frame.seconds for frame in source]
    assert len(seconds) >= 38
    steps = np.diff(seconds)
    assert steps.min() > 0.05
    assert steps.max() < 0.35
    assert seconds[-1] == pytest.approx(3.9, abs=0.4)


def test_a_gap_of_a_recording_is_a_gap_in_time(tmp_path):
    """A recorder that rests while nothing moves: what stands between is time, and no jump of a clock."""
    times = [i / 10 for i in range(10)] + [3600 + i / 10 for i in range(10)]
    with open_source(write_clip(tmp_path / "gap.mp4", frames=20, times=times)) as source:
        assert [frame.seconds for frame in source] == pytest.approx(times, abs=1e-3)
        assert source.problems == []


@pytest.mark.parametrize(("degrees", "shape"), [(90, (96, 48, 3)), (180, (48, 96, 3)), (270, (96, 48, 3))])
def test_rotation_is_applied(tmp_path, degrees, shape):
    clip = write_by_hand(tmp_path / "flat.mp4", sizes=[(96, 48)] * 4)
    data = bytearray(clip.read_bytes())
    # the matrix of the track header: 36 bytes, 52 after the header's name (ISO/IEC 14496-12, 8.3.2)
    at = data.index(b"tkhd") + 4 + 40
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    values = [cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    clip.write_bytes(bytes(data))
    with open_source(clip) as source:
        frames = list(source)
        assert (source.height, source.width) == shape[:2]
    assert all(frame.image.shape == shape for frame in frames)
    image = frames[0].image
    # the upper half is bright; shown turned clockwise by so many degrees it lies right, below or left
    bright = {90: image[:, 30:], 180: image[30:], 270: image[:, :18]}[degrees]
    dark = {90: image[:, :18], 180: image[:18], 270: image[:, 30:]}[degrees]
    assert bright.mean() > 180 > 120 > dark.mean()


def test_a_size_that_changes_on_the_way_is_given_as_it_is(tmp_path):
    parts = [write_by_hand(tmp_path / f"{w}.ts", sizes=[(w, h)] * 8) for w, h in ((96, 64), (160, 96))]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_source(joined) as source:
        shapes = [frame.image.shape[:2] for frame in source]
    assert shapes[0] == (64, 96)
    assert shapes[-1] == (96, 160)
    assert len(shapes) >= 12


def test_pictures_of_a_folder_that_are_broken_are_left_out_and_told(tmp_path):
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), np.full((40, 50, 3), 90, np.uint8))
    (tmp_path / "2.jpg").write_bytes(b"\xff\xd8broken")
    with PictureFolder(tmp_path, fps=2.0) as source:
        frames = list(source)
    assert [(f.index, f.name, f.seconds) for f in frames] == [
        (0, "0.jpg", 0.0),
        (1, "1.jpg", 0.5),
        (2, "3.jpg", 1.5),
    ]
    assert len(source.problems) == 1
    assert "2.jpg" in source.problems[0]


def test_a_single_picture_is_a_source_of_one_frame(tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), np.full((40, 50, 3), 90, np.uint8))
    with open_source(tmp_path / "one.png") as source:
        frames = list(source)
    assert len(frames) == source.frame_count == 1


def test_a_clip_is_read_once(tmp_path):
    with VideoFile(write_clip(tmp_path / "c.mp4", frames=3)) as source:
        assert len(list(source)) == 3
        with pytest.raises(SourceError, match="open it again"):
            next(iter(source))


def test_decoding_waits_for_a_slow_reader_and_drops_nothing(tmp_path):
    clip = write_clip(tmp_path / "long.mp4", frames=150)
    with VideoFile(clip) as source:
        assert source._queue.maxsize < 150
        iterator = iter(source)
        first = next(iterator)
        source._thread.join(0.3)
        assert source._thread.is_alive()
        assert source._queue.qsize() <= source._queue.maxsize
        assert 1 + len(list(iterator)) == 150
        assert first.index == 0


def test_an_abandoned_clip_does_not_keep_the_process_alive(tmp_path):
    clip = write_clip(tmp_path / "long.mp4", frames=150)
    code = f"from camera_counting.video import open_source; print(next(iter(open_source({str(clip)!r}))).index)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize("name", ["photo.jfif", "photo", "photo.mp4", "photo.JPG"])
def test_a_picture_of_any_name_is_a_picture(tmp_path, name):
    (tmp_path / name).write_bytes(cv2.imencode(".jpg", np.full((40, 50, 3), 90, np.uint8))[1].tobytes())
    with open_source(tmp_path / name) as source:
        assert isinstance(source, PictureFolder)
        assert [frame.image.shape for frame in source] == [(40, 50, 3)]
    assert "only one frame, in which nothing can move; count it as a picture" in source.problems[0]


@pytest.mark.parametrize(
    ("suffix", "reason"),
    [
        (".jpg", r"this is a picture \(JPEG\); count it as a picture"),
        (".png", r"this is a picture \(PNG\); count it as a picture"),
        (".webp", r"this is a picture \(WEBP\); count it as a picture"),
        (".bmp", r"this is a picture \(BMP\); convert it to JPEG, PNG or WebP and count it as a picture"),
        (".tiff", r"this is a picture \(TIFF\); convert it"),
    ],
)
def test_a_picture_is_no_clip(tmp_path, suffix, reason):
    (tmp_path / "x.mp4").write_bytes(cv2.imencode(suffix, np.full((40, 50, 3), 90, np.uint8))[1].tobytes())
    with pytest.raises(SourceError, match=reason):
        VideoFile(tmp_path / "x.mp4")


def test_jpeg_after_jpeg_in_one_file_is_a_clip(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [cv2.imencode(".jpg", rng.integers(0, 255, (48, 64, 3), np.uint8))[1].tobytes() for _ in range(5)]
    (tmp_path / "camera.mjpeg").write_bytes(b"".join(pictures))
    with open_source(tmp_path / "camera.mjpeg") as source:
        assert len(list(source)) == 5


def test_a_clip_of_one_frame_says_that_nothing_can_move_in_it(tmp_path):
    with open_source(write_clip(tmp_path / "one.mp4", frames=1)) as source:
        assert len(list(source)) == 1
    assert "only one frame" in source.problems[0]


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile {}", "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\n{}\n"])
def test_a_playlist_is_not_followed(tmp_path, text):
    write_clip(tmp_path / "clip.mp4", frames=3)
    (tmp_path / "list.mp4").write_text(text.format("clip.mp4"))
    with pytest.raises(SourceError, match="looks like a playlist: count the clips that it names one by one"):
        open_source(tmp_path / "list.mp4")


def test_a_file_of_another_kind_is_told_as_such(tmp_path):
    samples = np.zeros(8000, "<i2").tobytes()
    with wave.open(str(tmp_path / "sound.wav"), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(samples)
    with pytest.raises(SourceError, match="it is no mp4, mkv, avi or another format of clips"):
        open_source(tmp_path / "sound.wav")


def test_a_clip_of_too_many_pixels_is_refused_before_a_frame_is_unpacked(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    monkeypatch.setenv("CAMERA_COUNTING_MAX_PIXELS", "6000")
    with pytest.raises(SourceError, match=r"frames are 96 x 64, more than the 6000 pixels"):
        open_source(clip)


def test_frames_that_grow_beyond_the_limit_on_the_way_are_refused(tmp_path, monkeypatch):
    parts = [write_by_hand(tmp_path / f"{w}.ts", sizes=[(w, h)] * 8) for w, h in ((96, 64), (160, 96))]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setenv("CAMERA_COUNTING_MAX_PIXELS", "7000")
    with open_source(joined) as source, pytest.raises(SourceError, match="frames are 160 x 96, more than"):
        list(source)


def test_a_clip_that_was_trimmed_without_encoding_it_anew_is_whole(tmp_path):
    with av.open(str(tmp_path / "whole.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * i, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    with av.open(str(tmp_path / "whole.mp4")) as read, av.open(str(tmp_path / "trimmed.mp4"), "w") as out:
        stream = read.streams.video[0]
        copy = out.add_stream_from_template(stream)
        start = int(1.5 / stream.time_base)  # between two key frames: the five frames from 1.0 to 1.5 are hidden
        read.seek(start, stream=stream)
        for packet in read.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts - start, packet.dts - start
                packet.stream = copy
                out.mux(packet)
    with open_source(tmp_path / "trimmed.mp4") as source:
        assert source.frame_count == 30
        assert len(list(source)) == 25
        assert source.problems == []


def test_names_that_look_like_addresses_or_numbers_are_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clip("12:30:00.mp4", frames=3)
    with open_source("12:30:00.mp4") as source:
        assert len(list(source)) == 3
    (tmp_path / "pictures").mkdir()
    for name in ("10.jpg", "²1.jpg", "٣.jpg", "9.jpg"):
        data = cv2.imencode(".jpg", np.full((40, 50, 3), 90, np.uint8))[1].tobytes()
        (tmp_path / "pictures" / name).write_bytes(data)
    with open_source("pictures") as source:
        assert [frame.name for frame in source] == ["٣.jpg", "9.jpg", "10.jpg", "²1.jpg"]


@pytest.mark.parametrize("name", ["a" * 300 + ".mp4", "a" * 300 + ".jpg", "a" * 300])
def test_a_path_that_the_system_refuses_is_told_in_a_sentence(name):
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(name)


@pytest.mark.parametrize("size", [(97, 65), (2, 2), (640, 360)])
def test_written_clips_play_in_a_browser(tmp_path, size):
    path = write_clip(tmp_path / "out.mp4", frames=5, size=size)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == ("h264" if "libx264" in av.codecs_available else "mpeg4")
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (size[0] // 2 * 2, size[1] // 2 * 2)
        assert len(list(container.decode(stream))) == 5
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_link_is_written_through_and_a_device_stays_one(tmp_path):
    write_clip(tmp_path / "old.mp4", frames=2)
    (tmp_path / "link.mp4").symlink_to("old.mp4")
    write_clip(tmp_path / "link.mp4", frames=7)
    assert (tmp_path / "link.mp4").is_symlink()
    with open_source(tmp_path / "old.mp4") as source:
        assert source.frame_count == 7
    os.mkfifo(tmp_path / "pipe.mp4")
    with ThreadPoolExecutor() as threads:
        read = threads.submit((tmp_path / "pipe.mp4").read_bytes)
        write_clip(tmp_path / "pipe.mp4", frames=2)
        assert b"ftyp" in read.result(timeout=20)[:32]
    assert (tmp_path / "pipe.mp4").is_fifo()


def test_a_clip_appears_whole_or_not_at_all(tmp_path):
    def broken_off():
        with ClipWriter(tmp_path / "out.mp4", 10) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8), 0.0)
            assert not (tmp_path / "out.mp4").exists()
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        broken_off()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SourceError, match="does not exist; create it first"):
        write_clip(tmp_path / "none" / "out.mp4", frames=1)
