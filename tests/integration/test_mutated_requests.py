"""Requests as no client would write them: each is answered or refused, none breaks the server, none comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.request_formats import FORMATS, png, scoring_client, text
from tests.toy_detector import picture

NOISE = picture(96, 64, [("person", 20, 10, 44, 50)])
NOISE[56:] = np.random.default_rng(7).integers(90, 140, NOISE[56:].shape, np.uint8)
SECRET = text(png(NOISE))
SCENE = {
    "lines": [{"name": "gate", "from": [0, 32], "to": [96, 32]}],
    "zones": [{"name": "yard", "polygon": [[0, 0], [90, 0], [90, 60]]}],
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("mutated")
    with pytest.MonkeyPatch.context() as patch, scoring_client(folder) as client:
        patch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(folder / "log"))
        yield client


def check(client: Any, body: bytes, content_type: str) -> None:
    answer = client.post("/invocations", content=body, headers={"content-type": content_type})
    assert answer.status_code in {200, 400, 415}, answer.text
    for at in range(0, len(SECRET) - 24, 12):
        assert SECRET[at : at + 24] not in answer.text
    if answer.status_code != 200:
        assert set(answer.json()) == {"error_code", "message"}
        assert 0 < len(answer.json()["message"]) <= 1000


DIGITS = "@digits"  # becomes a number of 5,000 digits, which Python itself would not write
STRANGE = [
    *("", "\ud800", "\0", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1e400", DIGITS, SECRET[:-3]),
    *(None, True, 10**4000, -(10**400), float("inf"), float("nan"), 1769846400, [], {}, "x" * 300),
]
CELLS: st.SearchStrategy[Any] = st.sampled_from(STRANGE) | st.one_of(
    st.text(st.characters(), max_size=30),
    st.integers(),
    st.floats(),
    st.datetimes().map(str),
    st.lists(st.sampled_from(STRANGE), max_size=3),
)
POINTS = st.lists(st.lists(CELLS | st.floats(0, 90), min_size=2, max_size=2), min_size=2, max_size=4)
PART = st.fixed_dictionaries(
    {"name": CELLS | st.just("gate")}, optional={"polygon": POINTS, "from": CELLS, "to": CELLS}
)
SCENES = st.fixed_dictionaries(
    {}, optional={"lines": st.lists(PART, max_size=2), "zones": st.lists(PART, max_size=2)}
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "confidence": CELLS,
        "classes": CELLS | st.lists(st.sampled_from([*STRANGE, "car"])).map(json.dumps),
        "scene": CELLS | st.just(SCENE) | SCENES | SCENES.map(json.dumps),
        "on_error": CELLS | st.just("skip"),
    },
)


@pytest.mark.parametrize("kind", ["dataframe_split", "dataframe_records", "instances", "inputs"])
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_json_with_strange_values(client: Any, kind: str, data: st.DataObject) -> None:
    columns: dict[str, list[Any]] = {"image": [SECRET]}
    name = data.draw(st.sampled_from(["camera_id", "timestamp", "video", "image", "params", "x"]))
    body = json.loads(FORMATS[kind][0](columns | ({} if name == "params" else {name: [data.draw(CELLS)]})))
    if name == "params":
        body["params"] = data.draw(PARAMS)
    content = json.dumps(body).replace(f'"{DIGITS}"', "7" * 5000).replace(DIGITS, "7" * 5000)
    check(client, content.encode(), "application/json")


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_bodies_with_strange_bytes(client: Any, kind: str, data: st.DataObject) -> None:
    encode, content_type = FORMATS[kind]
    body = bytearray(
        encode({"image": [SECRET, SECRET], "camera_id": ["a", None], "timestamp": [1769846400, None]})
    )
    # the outermost bytes, where formats keep what they are, are hit as often as all the others
    where = st.integers(0, len(body) - 1) | st.integers(0, 60) | st.integers(len(body) - 900, len(body) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(where) % len(body)
        body[at : at + data.draw(st.sampled_from([0, 1, 1, 1, 3]))] = data.draw(st.binary(max_size=3))
    check(client, bytes(body), content_type)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_strange_content_types(client: Any, told: str) -> None:
    body, _ = FORMATS["inputs"]
    for content_type in (told, "application/json;" + told, "application/json; charset" + told):
        check(client, body({"image": [SECRET]}), content_type)
