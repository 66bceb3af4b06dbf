"""The live pictures of the page: who is seen on them, and what they may take from counting."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np

from serving.camera.web import WebSettings
from serving.camera.web.pictures import LivePicture, LivePictures
from tests.small_page import BEARER, client


def decoded(answer):
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)


def person_region(image):
    """How much detail there is inside the one who walks, at the first frames."""
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.CV_64F)[40:70, 305:325].var())


def test_people_on_the_live_picture_are_unrecognisable_unless_configured(worker):
    blurred = decoded(client(worker).get("/cameras/gate/picture.jpg", headers=BEARER))
    shown = decoded(client(worker, people="shown").get("/cameras/gate/picture.jpg", headers=BEARER))
    assert blurred.shape == shown.shape == (360, 640, 3)
    assert person_region(shown) > 1000
    assert person_region(blurred) < 0.05 * person_region(shown)


def test_without_detections_the_whole_picture_is_unrecognisable(worker):
    from dataclasses import replace

    worker._views["gate"] = replace(worker._views["gate"], detections_faint=None)
    answer = client(worker).get("/cameras/gate/picture.jpg", headers=BEARER)
    assert answer.headers["x-hidden"]
    assert person_region(decoded(answer)) < 200


def test_pictures_are_made_when_asked_and_at_most_so_often(worker):
    web = client(worker, pictures_per_second=0.5)
    assert worker.views_asked == 0
    first = web.get("/cameras/gate/picture.jpg", headers=BEARER)
    worker.step()
    again = web.get("/cameras/gate/picture.jpg", headers=BEARER)
    assert again.content == first.content
    seen = first.headers["x-picture-time"]
    assert web.get("/cameras/gate/picture.jpg", params={"after": seen}, headers=BEARER).status_code == 204


class Slow(LivePictures):
    """Takes a twentieth of a second of a core for a picture."""

    def _drawn(self, view, blur):
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        return LivePicture(b"", view.time)


def test_many_cameras_that_are_looked_at_share_a_part_of_a_core_alike(worker):
    names = ["gate", *(f"camera {i}" for i in range(5))]
    for name in names[1:]:
        worker.add_camera({"name": name})
    worker.step()
    pictures = Slow(worker, WebSettings(pictures_per_second=10))
    drawn = {name: {pictures.picture(name).time} for name in names}
    until = time.monotonic() + 5.0

    def look(name: str) -> None:
        while time.monotonic() < until:
            drawn[name].add(pictures.picture(name).time)
            time.sleep(0.02)

    viewers = [threading.Thread(target=look, args=(name,)) for name in names * 2]
    for viewer in viewers:
        viewer.start()
    while time.monotonic() < until:
        worker.step()
        time.sleep(0.05)
    for viewer in viewers:
        viewer.join(5)
    # a quarter of a core for 5 s is 25 pictures, where ten a second of each camera were 300; with the first ones
    numbers = [len(times) for times in drawn.values()]
    assert sum(numbers) <= 25 + 2 * len(names)
    assert min(numbers) >= 3
    assert max(numbers) <= min(numbers) + 2


def test_a_camera_without_a_picture_has_none(worker, web):
    worker.add_camera({"name": "new"})
    for name in ("new", "unknown", "../gate"):
        assert web.get(f"/cameras/{name}/picture.jpg", headers=BEARER).status_code == 404
