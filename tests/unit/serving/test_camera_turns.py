"""Turns at the detector."""

from __future__ import annotations

import threading
import time

from serving.camera.turns import Turns


def wait_until(done) -> None:
    deadline = time.monotonic() + 5
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_asks_for_many_gets_them_in_rotation_with_the_others() -> None:
    turns, order, threads = Turns(1), [], []

    def take(camera: str) -> None:
        with turns.turn(camera):
            order.append(camera)

    with turns.turn("first"):
        for camera in ("clip", "clip", "clip", "clip", "gate", "yard"):
            threads.append(threading.Thread(target=take, args=(camera,)))
            threads[-1].start()
            wait_until(lambda: sum(map(len, turns._waiting.values())) == len(threads))
    for thread in threads:
        thread.join(5)
    # by turns, and not in the order in which they asked
    assert order == ["clip", "gate", "yard", "clip", "clip", "clip"]


def test_so_many_at_a_time_and_no_more_also_after_a_failure() -> None:
    turns, now, most = Turns(2), [0], [0]
    lock = threading.Lock()

    def take(camera: str) -> None:
        for index in range(20):
            try:
                with turns.turn(camera):
                    with lock:
                        now[0] += 1
                        most[0] = max(most[0], now[0])
                    time.sleep(0.0005)
                    with lock:
                        now[0] -= 1
                    if index % 3 == 0:
                        raise ValueError("a frame that cannot be detected")
            except ValueError:
                pass

    threads = [threading.Thread(target=take, args=(f"camera {i % 3}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert most[0] == 2
