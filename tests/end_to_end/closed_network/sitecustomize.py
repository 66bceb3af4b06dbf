"""Put on PYTHONPATH, this closes the sockets of every Python process below to all but this machine.

An audit hook sees each look-up and connection before it happens, in every library and thread that goes through
Python's `socket`, and writes it down in the file that CLOSED_NETWORK_LOG names: a library that swallows the error
is still found. It sees neither native code (uv, pyarrow, FFmpeg) nor what is sent by `sendmsg` without a
connection: for those, see the test that counts in a namespace without any network.
"""

import os
import sys
import traceback

_LOCAL = ("127.", "::1", "localhost", "0.0.0.0", "")  # noqa: S104 - a name to compare with


def _is_local(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return name is None or (isinstance(name, str) and (name in _LOCAL or name.startswith("127.")))


def _guard(event: str, arguments: tuple) -> None:
    if event == "socket.connect" or event == "socket.sendto":
        address = arguments[1]
        # a path is a Unix socket, a number a netlink one: neither leaves the machine
        if not isinstance(address, tuple) or len(address) < 2 or _is_local(address[0]):
            return
        target = address[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        if _is_local(arguments[0]):
            return
        target = arguments[0]
    else:
        return
    with open(os.environ["CLOSED_NETWORK_LOG"], "a") as log:  # noqa: PTH123 - pathlib is not yet importable here
        log.write(f"{event} {target!r} in {' '.join(sys.argv)}\n{''.join(traceback.format_stack(limit=12))}\n")
    raise OSError(f"closed network: {event} to {target!r}")


if os.environ.get("CLOSED_NETWORK_LOG"):
    sys.addaudithook(_guard)
