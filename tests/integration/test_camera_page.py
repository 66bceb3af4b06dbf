"""The page in a real browser: what somebody sees who watches cameras, on a desk and on a telephone."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time

import pytest

from serving.camera.web import WebSettings, create_app, serve
from tests.small_worker import SmallWorker

TOKEN = "a-token-of-these-tests"
XSS = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def worker():
    worker, over = SmallWorker("gate", XSS), threading.Event()
    thread = threading.Thread(target=worker.run, args=(over,))
    thread.start()
    yield worker
    over.set()
    thread.join()


@pytest.fixture
def running(worker):
    running = serve(create_app(worker, TOKEN), port=0)
    yield running
    running.stop()


@pytest.fixture
def page(browser, running):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda told: page.problems.append(told.text) if "Content Security" in told.text else None)
    yield page
    context.close()


class TlsProxy:
    """Speaks TLS with browsers, and passes on what they say to the page as it is."""

    def __init__(self, folder):
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]
        subprocess.run(
            [*command, "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True
        )
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"

    def pass_on_to(self, port):
        threading.Thread(target=self._accept, args=(port,), daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self, port):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain, port), daemon=True).start()

    def _serve(self, plain, port):
        try:
            with (
                self._context.wrap_socket(plain, server_side=True) as browser,
                socket.create_connection(("127.0.0.1", port)) as page,
            ):
                browser.settimeout(0.05)
                page.settimeout(0.05)
                while self._moved(browser, page) and self._moved(page, browser):
                    pass
        except OSError:
            return

    @staticmethod
    def _moved(one, other):
        try:
            said = one.recv(65536)
        except TimeoutError:
            return True
        other.settimeout(10.0)
        other.sendall(said)
        other.settimeout(0.05)
        return bool(said)


def test_behind_a_proxy_with_tls_the_session_is_for_tls_alone(browser, worker, tmp_path):
    proxy = TlsProxy(tmp_path)
    running = serve(create_app(worker, TOKEN, WebSettings(public_url=proxy.url)), port=0)
    proxy.pass_on_to(int(running.url.rpartition(":")[2]))
    context = browser.new_context(ignore_https_errors=True)
    try:
        page = context.new_page()
        page.goto(proxy.url)
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        tile(page).wait_for(timeout=15_000)
        (cookie,) = context.cookies()
        assert cookie["secure"]
        assert cookie["httpOnly"]
        assert context.request.get(f"{proxy.url}/api/status").status == 200
    finally:
        context.close()
        running.stop()
        proxy.close()


def log_in(page, running, token=TOKEN):
    page.goto(running.url)
    page.fill("#token", token)
    page.keyboard.press("Enter")


def tile(page, name="gate"):
    return page.get_by_role("article", name=name, exact=True)


def pixels(page):
    """Some numbers of the picture that is shown."""
    return page.evaluate(
        """() => {
          const image = document.querySelector('[data-camera="gate"] img');
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [64, 36];
          const context = canvas.getContext('2d');
          context.drawImage(image, 0, 0, 64, 36);
          return [...context.getImageData(0, 0, 64, 36).data];
        }"""
    )


def wait_until(true, seconds=15.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.1)


def test_a_wrong_token_is_told_and_the_right_one_shows_pictures_that_move(page, running, worker):
    log_in(page, running, "wrong")
    page.get_by_text("This is not the token").wait_for()
    assert worker.views_asked == 0
    page.fill("#token", TOKEN)
    page.get_by_role("button", name="Log in").click()
    tile(page).get_by_role("img", name="Live picture of gate").wait_for()
    page.wait_for_function("document.querySelector('[data-camera=\"gate\"] img').naturalWidth === 640")
    before = pixels(page)
    wait_until(lambda: pixels(page) != before)
    assert "2 of 2 cameras live" in page.inner_text("#summary")
    counted = tile(page).get_by_role("row", name="gate").get_by_role("cell").first
    number = int(counted.inner_text())
    wait_until(lambda: int(counted.inner_text()) > number)
    assert page.problems == []


def test_a_camera_s_name_is_text(page, running):
    log_in(page, running)
    tile(page, XSS).wait_for()
    tile(page, XSS).locator("img").wait_for()
    assert "owned" not in page.title()
    assert page.locator("[data-camera] h2 *, main script").count() == 0
    assert page.problems == []


def test_a_camera_that_is_down_is_said_in_words_and_its_picture_is_not_live(page, running, worker):
    log_in(page, running)
    tile(page).locator("img").wait_for()
    worker.overrides["gate"] = {"state": "waiting", "error": "nobody answers at rtsp://10.0.0.5"}
    worker.worker = {"model_error": "version 8 could not be loaded"}
    tile(page).get_by_text("No connection").wait_for()
    tile(page).get_by_text("nobody answers at rtsp://10.0.0.5").wait_for()
    tile(page).get_by_text("Not live: last picture at").wait_for()
    page.get_by_text("Model: version 8 could not be loaded").wait_for()
    assert "1 of 2 cameras live" in page.inner_text("#summary")


def test_cameras_that_go_and_a_worker_that_ends_are_seen(page, running, worker):
    log_in(page, running)
    tile(page).wait_for()
    worker.remove_camera("gate")
    worker.remove_camera(XSS)
    page.get_by_role("heading", name="No camera yet").wait_for()
    assert page.locator("article").count() == 0
    running.stop()
    page.get_by_text("The worker has not answered since").wait_for(timeout=15000)


def test_nobody_looking_means_nothing_is_drawn(page, running, worker):
    log_in(page, running)
    tile(page).locator("img").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Token").wait_for()
    asked = worker.views_asked
    time.sleep(1.5)
    assert worker.views_asked == asked


def test_it_fits_a_telephone_and_the_keyboard_reaches_everything(browser, running):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark", is_mobile=True)
    page = context.new_page()
    log_in(page, running)
    tile(page).locator("img").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 23)"
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className || document.activeElement.id"))
    assert reached[0] == "leave"
    assert all("picture" in name for name in reached[1:])
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    context.close()
