"""The page's own server: its token's file, its thread, and who connects without asking."""

from __future__ import annotations

import socket
import stat
import time

import httpx
import pytest

from serving.camera.web import create_app, read_token, serve
from serving.errors import ServingError
from tests.small_page import BEARER, TOKEN


def test_the_token_is_made_once_for_its_owner_alone(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "deep" / "token"
    token = read_token(path)
    assert len(token) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_token(path) == token
    assert str(path) in caplog.text
    assert token not in caplog.text
    assert [file.name for file in path.parent.iterdir()] == ["token"]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("a-good-token-of-some-length\n", 0o644, "may be read by others"),
        ("short", 0o600, "at least 16"),
        ("", 0o600, "at least 16"),
        ("two words that are long enough", 0o600, "without blanks"),
    ],
)
def test_a_token_file_that_is_none_is_refused(tmp_path, content, mode, said):
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ServingError, match=said):
        read_token(path)


def test_it_is_served_from_a_thread_and_a_taken_port_is_said(worker):
    app = create_app(worker, TOKEN)
    running = serve(app, port=0)
    try:
        answer = httpx.get(f"{running.url}/api/status", headers=BEARER)
        assert answer.json()["cameras"][0]["camera"] == "gate"
        assert "server" not in answer.headers
        port = int(running.url.rpartition(":")[2])
        with pytest.raises(ServingError, match=f"port {port} at 127.0.0.1 is taken"):
            serve(app, port=port)
    finally:
        running.stop()
        running.stop()
    assert not running.up
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))


def test_who_connects_and_does_not_ask_keeps_nobody_out(worker, monkeypatch):
    monkeypatch.setattr("serving.camera.web.server._HEAD", 0.5)
    running = serve(create_app(worker, TOKEN), port=0)
    place = ("127.0.0.1", int(running.url.rpartition(":")[2]))
    silent = []
    try:
        with httpx.Client(base_url=running.url) as patient:
            assert patient.get("/healthz").status_code == 200
            for number in range(220):  # more than there may be
                silent.append(socket.create_connection(place))
                if number % 2:
                    silent[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            time.sleep(1.5)
            assert httpx.get(f"{running.url}/healthz").status_code == 200
            for one in silent:
                one.settimeout(2.0)
                assert b"200" not in one.recv(1000)
    finally:
        for one in silent:
            one.close()
        running.stop()


def test_a_head_without_end_is_not_kept(worker):
    running = serve(create_app(worker, TOKEN), port=0)
    try:
        with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2]))) as endless:
            endless.settimeout(5.0)
            endless.sendall(b"GET / HTTP/1.1\r\n")
            answer = b""
            try:
                for _ in range(1000):
                    endless.sendall(b"X-Long: " + b"x" * 1000 + b"\r\n")
            except OSError:
                pass  # it hung up
            else:
                answer = endless.recv(1000)
                assert answer == b"" or b" 400 " in answer
    finally:
        running.stop()


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no-such-host.invalid", 0), ("127.0.0.1", 99999)])
def test_an_address_that_is_not_ours_is_said(worker, host, port):
    with pytest.raises(ServingError, match="cannot listen"):
        serve(create_app(worker, TOKEN), host, port)
