"""The page's interface over HTTP: who may come in, what is told, and what is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from serving.camera.web import WebSettings, create_app
from serving.camera.web.access import COOKIE, Access, Throttle
from tests.small_page import BEARER, TOKEN, client

XSS = "<script>alert(1)</script>"
PATHS = [
    "/api/status",
    "/api/cameras",
    "/api/cameras/gate/counts",
    "/metrics",
    "/cameras/gate/picture.jpg",
    "/static/page.js",
    "/nowhere",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}={TOKEN}"}])
def test_nothing_is_told_without_the_token(web, path, headers):
    answer = web.get(path, headers=headers)
    assert answer.status_code == 401
    assert "gate" not in answer.text


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/nowhere"])
def test_the_token_opens_everything(web, path):
    assert web.get(path, headers=BEARER).status_code == 200


def test_a_browser_is_sent_to_the_login_and_comes_back_with_a_session(web):
    assert web.get("/").headers["location"] == "/login"
    wrong = web.post("/login", data={"token": "guess"})
    assert wrong.status_code == 401
    assert 'class="login wrong"' in wrong.text
    right = web.post("/login", data={"token": TOKEN})
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert web.get("/").status_code == 200
    assert web.post("/logout", headers={"X-Camera-Counting": "1"}).status_code == 204
    assert web.get("/").status_code == 303


def test_a_session_ends_and_does_not_outlive_its_token():
    now = [1000.0]
    access = Access(TOKEN, 60, clock=lambda: now[0])
    session = access.session()
    assert access.is_session(session)
    assert Access(TOKEN, 60, clock=lambda: now[0]).is_session(session)
    assert not Access("another-token-here", 60, clock=lambda: now[0]).is_session(session)
    ends, rest = session.split(".", 1)
    assert not access.is_session(f"{int(ends) + 9999}.{rest}")
    now[0] += 61
    assert not access.is_session(session)


def test_cookies_of_other_programs_at_this_host_do_no_harm(web):
    session = Access(TOKEN, 60).session()
    cookies = f'_xsrf=2|a"b; ;=;{{"json": 1}}; {COOKIE}={session}; [x]=y'
    assert web.get("/api/status", headers={"Cookie": cookies}).status_code == 200


@pytest.mark.parametrize("cookie", ["", ".", "..", "9" * 400, "é.é.é", "1.2.3"])
def test_nonsense_is_no_session(cookie):
    assert not Access(TOKEN, 60).is_session(cookie)


def test_guessing_is_slowed_down_and_forgiven():
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    for _ in range(50):
        throttle.failed("10.0.0.7")
    assert throttle.wait("10.0.0.7") == 6
    assert throttle.wait("10.0.0.8") == 0
    now[0] = 6.0
    assert throttle.wait("10.0.0.7") == 0


def test_after_many_wrong_tokens_one_is_told_to_wait(web):
    statuses = [web.get("/api/status", headers={"Authorization": "Bearer no"}).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    answer = web.post("/login", data={"token": "no"})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 6


def test_a_strangers_guesses_lock_nobody_out_who_has_the_token(web):
    for _ in range(12):
        web.post("/login", data={"token": "guess"})
        web.get("/api/status", headers={"Authorization": "Bearer guess"})
    assert web.get("/api/status", headers=BEARER).status_code == 200
    assert web.post("/login", data={"token": TOKEN}).status_code == 303


def through_proxy(worker, peer, **settings):
    app = create_app(worker, TOKEN, WebSettings(**settings))
    return TestClient(app, base_url="http://localhost:5002", follow_redirects=False, client=(peer, 4711))


def test_guesses_count_for_the_client_behind_a_trusted_proxy(worker):
    web = through_proxy(worker, "10.0.0.1", trusted_proxies=["10.0.0.0/30"])

    def guess(said):
        return web.get("/metrics", headers={"Authorization": "Bearer no", "X-Forwarded-For": said}).status_code

    for _ in range(10):
        guess("203.0.113.5, 10.0.0.2")
    assert guess("198.51.100.1, 203.0.113.5") == 429  # what the client says itself of others changes nothing
    assert guess("203.0.113.5:4711") == 429
    assert guess("203.0.113.6") == 401
    assert guess("") == guess("nonsense") == 401
    # all of one IPv6 network are one client: each there has any number of addresses
    for last in range(10):
        guess(f"2001:db8:1:2::{last:x}")
    assert guess("[2001:db8:1:2:ffff::1]:4711") == 429
    assert guess("2001:db8:1:3::1") == 401


def test_a_stranger_cannot_say_that_he_is_somebody_else(worker):
    web = through_proxy(worker, "203.0.113.5", trusted_proxies=["10.0.0.0/30"])
    statuses = [
        web.get("/metrics", headers={"Authorization": "Bearer no", "X-Forwarded-For": f"192.0.2.{i}"}).status_code
        for i in range(12)
    ]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize(
    ("peer", "settings", "headers", "secure"),
    [
        ("10.0.0.1", {"trusted_proxies": ["10.0.0.1"]}, {"X-Forwarded-Proto": "https"}, True),
        ("10.0.0.1", {"trusted_proxies": ["10.0.0.1"]}, {"X-Forwarded-Proto": "http"}, False),
        ("10.0.0.1", {"trusted_proxies": ["10.0.0.1"]}, {}, False),
        ("::ffff:10.0.0.1", {"trusted_proxies": ["10.0.0.1"]}, {"X-Forwarded-Proto": "HTTPS, http"}, True),
        ("10.0.0.9", {"trusted_proxies": ["10.0.0.1"]}, {"X-Forwarded-Proto": "https"}, False),
        ("10.0.0.9", {"public_url": "https://cameras.example"}, {}, True),
        ("10.0.0.9", {"public_url": "http://cameras.example"}, {}, False),
        ("10.0.0.9", {}, {}, False),
    ],
)
def test_behind_tls_the_session_is_never_sent_in_the_clear(worker, peer, settings, headers, secure):
    answer = through_proxy(worker, peer, **settings).post("/login", data={"token": TOKEN}, headers=headers)
    assert answer.status_code == 303
    assert ("; secure" in answer.headers["set-cookie"].lower()) is secure


@pytest.mark.parametrize("host", ["cameras.example", "cameras.example:443", "127.0.0.1:5002"])
def test_the_public_address_is_one_of_the_pages_own(worker, host):
    """Whether the proxy passes the host on, or puts the one that it asks for in its place."""
    web = through_proxy(worker, "10.0.0.9", public_url="https://cameras.example/")
    mine = {"Host": host, "Origin": "https://cameras.example"}
    assert web.post("/login", data={"token": TOKEN}, headers=mine).status_code == 303
    assert (
        web.post("/login", data={"token": TOKEN}, headers={**mine, "Origin": "https://x.example"}).status_code
        == 403
    )
    assert web.get("/login", headers={"Host": "x.example"}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[::1", "", "null", "http://localhost:5002@x.example", "//", "é"]
)
def test_an_origin_that_is_none_is_foreign(logged_in, origin):
    sent = {"Origin": origin.encode("latin-1")}
    assert logged_in.post("/login", data={"token": TOKEN}, headers=sent).status_code == 403
    mark = sent | {"X-Camera-Counting": "1"}
    assert logged_in.post("/api/cameras", json={"name": "yard"}, headers=mark).status_code == 403


@pytest.mark.parametrize(
    "url", ["cameras.example", "ftp://cameras.example", "https://", "https://a.example/page", "https://u:p@a.example",
            "http://[", "https://a.example:99999"]
)  # fmt: skip
def test_a_public_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match=r"public_url\n.*expected http:// or https:// and a host"):
        WebSettings(public_url=url)


def test_a_session_is_not_thrown_out_by_somebody_elses_guesses(logged_in):
    for _ in range(12):
        logged_in.get("/metrics", headers={"Authorization": "Bearer no", "Cookie": ""})
    assert logged_in.get("/api/status").status_code == 200


def test_a_foreign_host_name_is_refused_but_for_the_health_check(web):
    for host in ("evil.example", "localhost.evil.example", "evil.example:5002", ""):
        assert web.get("/api/status", headers={**BEARER, "Host": host}).status_code == 403
    for host in ("LOCALHOST:80", "127.0.0.1", "[::1]:5002"):
        assert web.get("/api/status", headers={**BEARER, "Host": host}).status_code == 200
    assert web.get("/healthz", headers={"Host": "10.1.2.3:5002"}).text == "ok\n"


def test_the_health_check_tells_no_more_than_that_and_works_nothing_out(worker):
    def too_much():
        raise AssertionError("the whole status was worked out")

    worker.status = too_much
    assert client(worker).get("/healthz").text == "ok\n"
    worker.well = False
    answer = client(worker).get("/healthz")
    assert (answer.status_code, answer.text) == (503, "not ok\n")


@pytest.mark.parametrize("path", ["/", "/login", "/api/status", "/healthz", "/nowhere", "/static/page.css"])
def test_every_answer_has_the_headers(logged_in, path):
    headers = logged_in.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_session_alone_changes_nothing(logged_in):
    sent = {"name": "yard"}
    assert logged_in.post("/api/cameras", json=sent).status_code == 403
    assert logged_in.delete("/api/cameras/gate").status_code == 403
    mark = {"X-Camera-Counting": "1"}
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert logged_in.post("/api/cameras", json=sent, headers=mark | foreign).status_code == 403
    assert logged_in.post("/api/cameras", json=sent, headers=mark).status_code == 201


def test_a_foreign_page_cannot_log_anybody_in(web):
    answer = web.post("/login", data={"token": TOKEN}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_cameras_are_added_and_removed(web):
    name = "a/b ü?#"
    assert web.post("/api/cameras", json={"name": name}, headers=BEARER).status_code == 201
    assert [one["camera"] for one in web.get("/api/cameras", headers=BEARER).json()] == ["gate", name]
    path = f"/api/cameras/{quote(name, safe='')}"
    assert web.get(f"{path}/counts?interval=hour", headers=BEARER).json()[0]["interval"] == "hour"
    assert web.delete(path, headers=BEARER).status_code == 204
    assert web.delete(path, headers=BEARER).status_code == 404
    assert len(web.get("/api/cameras", headers=BEARER).json()) == 1


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        ("{", "application/json", 400, "this is no JSON"),
        ("[1]", "application/json", 400, "JSON object, got list"),
        ("[" * 30000, "application/json", 400, "this is no JSON"),
        ("{}", "text/plain", 415, "application/json"),
        ('{"name": ""}', "application/json", 400, "expected a name"),
        ('{"name": "gate"}', "application/json", 400, "rtsp://***@cam/1"),
        ("x" * 70000, "application/json", 413, "at most 65536 bytes"),
    ],
)
def test_what_cannot_be_a_camera_is_refused_in_a_sentence(web, content, kind, status, said):
    answer = web.post("/api/cameras", content=content, headers={**BEARER, "Content-Type": kind})
    assert answer.status_code == status
    assert said in answer.text
    assert "secret" not in answer.text


def test_a_body_without_a_length_is_bounded_too(web):
    answer = web.post("/api/cameras", content=(b"x" * 1000 for _ in range(100)), headers=BEARER)
    assert answer.status_code == 413


@pytest.mark.parametrize(("path", "status"), [("none/counts", 404), ("gate/counts?interval=week", 400)])
def test_counts_that_are_not_there(web, path, status):
    assert web.get(f"/api/cameras/{path}", headers=BEARER).status_code == status


def test_passwords_in_addresses_are_not_told(worker, web):
    worker.overrides["gate"] = {"error": "rtsp://admin:hunter2@10.0.0.5/1: nobody answers"}
    told = web.get("/api/status", headers=BEARER).text
    assert "hunter2" not in told
    assert "rtsp://***@10.0.0.5/1" in told


def test_a_name_is_told_as_json_and_never_as_html(worker, web):
    worker.add_camera({"name": XSS})
    answer = web.get("/api/cameras", headers=BEARER)
    assert answer.headers["content-type"].startswith("application/json")
    assert XSS not in web.get("/", headers=BEARER).text


@pytest.mark.parametrize(
    "name", ["cameras.example:443", "https://cameras.example", "::1", "", "a b", "[::1]:5002"]
)
def test_a_name_of_the_host_that_nobody_could_ask_for_is_refused(name):
    with pytest.raises(ValueError, match="expected names without scheme and port"):
        WebSettings(hosts=["localhost", name])
