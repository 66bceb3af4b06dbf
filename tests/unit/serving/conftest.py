"""What the tests of the page share."""

from __future__ import annotations

import pytest

from tests.small_page import TOKEN, client
from tests.small_worker import SmallWorker


@pytest.fixture
def worker():
    worker = SmallWorker("gate")
    worker.step(3)
    return worker


@pytest.fixture
def web(worker):
    return client(worker)


@pytest.fixture
def logged_in(web):
    assert web.post("/login", data={"token": TOKEN}).status_code == 303
    return web
