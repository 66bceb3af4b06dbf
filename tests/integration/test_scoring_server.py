"""Counting requests through MLflow's own scoring application: one answer for every format, and no echo ever."""

# ruff: noqa: E501 - one row of a table is one line

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import camera_counting
from tests.request_formats import FORMATS, text
from tests.scoring_questions import EMPTY, IMAGE, JPEG, PNG, ask, assert_no_echo, clip

COLUMNS: dict[str, list[Any]] = {"image": [text(PNG), text(EMPTY), text(JPEG)], "camera_id": ["a", None, "c"]}
EXPECTED = [{"person": 2, "car": 1}, {"person": 0, "car": 0}, {"person": 2, "car": 1}]


def without_times(answer: Any) -> list[dict[str, Any]]:
    return answer.json()["predictions"]


@pytest.mark.parametrize("kind", ["dataframe_split", "dataframe_records", "instances", "inputs"])
def test_every_json_format_gives_the_same_answer(client: Any, model_folder: Path, kind: str) -> None:
    answer = ask(client, FORMATS[kind][0](COLUMNS))
    assert answer.status_code == 200
    rows = answer.json()["predictions"]
    assert [row["row"] for row in rows] == [0, 1, 2]
    assert [row["counts"] for row in rows] == EXPECTED
    assert [row["camera_id"] for row in rows] == ["a", None, "c"]
    assert [row["total"] for row in rows] == [3, 0, 3]
    assert [row["error"] for row in rows] == [None] * 3
    direct = camera_counting.load_model(model_folder).count([PNG, EMPTY, JPEG])
    for row, count in zip(rows, direct, strict=True):
        assert {key: row[key] for key in count.to_dict()} == count.to_dict()


def test_parquet_and_csv_give_that_answer_too(client: Any) -> None:
    expected = ask(client, {"inputs": COLUMNS}).json()
    raw = pd.DataFrame({"image": [PNG, EMPTY, JPEG], "camera_id": ["a", None, "c"]})
    for table in (raw, pd.DataFrame(COLUMNS)):
        stream = io.BytesIO()
        table.to_parquet(stream)
        answer = ask(client, stream.getvalue(), **{"content-type": "application/vnd.apache.parquet"})
        assert answer.json() == expected
    answer = ask(client, pd.DataFrame(COLUMNS).to_csv(index=False), **{"content-type": "text/csv"})
    assert answer.json() == expected


@pytest.mark.parametrize("kind", ["dataframe_split", "dataframe_records", "instances", "inputs"])
@pytest.mark.parametrize("cameras", [["a", "b", "c"], ["a", None, "c"], None])
def test_mlflows_own_parser_gives_that_answer_too(
    model_folder: Path, kind: str, cameras: list[Any] | None
) -> None:
    # as `mlflow models predict` reads a file, without the guard in front
    import mlflow.pyfunc
    from mlflow.pyfunc.scoring_server import _parse_json_data

    model = mlflow.pyfunc.load_model(str(model_folder))
    columns = {"image": COLUMNS["image"], **({"camera_id": cameras} if cameras else {})}
    body = json.dumps({**json.loads(FORMATS[kind][0](columns)), "params": {"confidence": 0.5}})
    parsed = _parse_json_data(body, model.metadata, model.metadata.get_input_schema())
    table = model.predict(parsed.data, params=parsed.params)
    assert list(table["counts"]) == EXPECTED
    assert list(table["camera_id"]) == (cameras or [None] * 3)


def test_params(client: Any) -> None:
    def counts(**params: Any) -> Any:
        answer = ask(client, {"inputs": {"image": [text(PNG)]}, "params": params})
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"][0]

    assert counts(confidence=0.5)["total"] == 3
    assert counts(confidence=0.99)["total"] == 0
    assert counts(confidence=None)["total"] == 3
    for classes in ("car", " car , ", '["car"]', ["car"]):
        assert counts(classes=classes)["counts"] == {"car": 1}
    assert counts(classes="car,person")["counts"] == {"person": 2, "car": 1}
    # a zone over the left half: one person stands in it, the second's feet are at x = 225 of 640
    scene = {"zones": [{"name": "left", "polygon": [[0, 0], [0.3, 0], [0.3, 1], [0, 1]]}]}
    for given in (json.dumps(scene), scene):
        assert counts(scene=given)["zones"] == {"left": {"person": 1, "car": 0}}
    assert counts(scene=json.dumps(scene), classes="person")["zones"] == {"left": {"person": 1}}


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


# 9000 x 9000 pixels in a hundred bytes
BOMB = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", (9000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
BOMB += chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        # pictures
        ({"inputs": {"image": [text(PNG), text(PNG)[:-5]]}}, "row 1: image: expected base64 text"),
        ({"inputs": {"image": ["?" + text(PNG)]}}, "row 0: image: expected base64 text"),
        ({"inputs": {"image": [text(PNG).replace("A", " ")]}}, "row 0: image: expected base64 text"),
        ({"inputs": {"image": [text(PNG).replace("/", "_").replace("+", "-")]}}, "row 0: image: expected base64"),
        ({"inputs": {"image": [text(PNG), ""]}}, "row 1: image: the picture is empty"),
        ({"inputs": {"image": [text(PNG[:-2000])]}}, "row 0: the picture is cut off or damaged"),
        ({"inputs": {"image": [text(JPEG[:-100])]}}, "row 0: the JPEG picture is cut off"),
        ({"inputs": {"image": [text(b"hello, I am no picture" * 20)]}}, "row 0: expected a JPEG, PNG or WebP"),
        ({"inputs": {"image": [text(BOMB)]}}, "row 0: the picture is 9000 x 9000.*CAMERA_COUNTING_MAX_PIXELS"),
        ({"inputs": {"image": ["data:image/png," + text(PNG)]}}, "after 'data:…;base64,'"),
        # cells
        ({"inputs": {"image": [text(PNG), None]}}, "row 1: expected a picture in 'image' or a clip in 'video', got neither"),
        ({"inputs": {"image": [text(PNG)], "video": [text(PNG)]}}, "row 0: expected either a picture"),
        ({"instances": [{"image": 7}]}, "row 0: image: expected base64 text or bytes, got a number"),
        ({"instances": [{"image": True}]}, "got true or false"),
        ({"instances": [{"image": [text(PNG)]}]}, "row 0: image: expected base64 text or bytes, got a list"),
        ({"instances": [{"image": {"b64": text(PNG)}}]}, "got an object"),
        ({"instances": [{"image": text(PNG), "camera_id": ["x"]}]}, "row 0: camera_id: expected text, got a list"),
        ({"instances": [{"image": text(PNG), "camera_id": "x" * 300}]}, "at most 200 characters"),
        ({"instances": [{"image": text(PNG), "timestamp": "yesterday"}]}, "row 0: timestamp: expected ISO 8601"),
        ({"instances": [{"image": text(PNG), "timestamp": 9e99}]}, "far from our time"),
        ({"instances": [{"image": text(PNG), "timestamp": text(PNG)}]}, "row 0: timestamp: expected ISO 8601"),
        ({"instances": [{"image": text(PNG), "timestamp": "0001-01-01T00:00:00+14:00"}]}, "far from our time"),
        ({"instances": [{"image": text(PNG), "timestamp": "9999-12-31T23:59:59-14:00"}]}, "far from our time"),
        ({"instances": [{"image": text(PNG), "timestamp": "1969-12-31T23:59:59Z"}]}, "far from our time"),
        ({"instances": [{"image": text(PNG), "timestamp": 10**400}]}, "far from our time"),
        ({"instances": [{"image": text(PNG), "camera_id": "\ud800"}]}, "row 0: camera_id: expected text, got a control"),
        ({"instances": [{"image": text(PNG), "camera_id": "gate\x007"}]}, "row 0: camera_id: expected text, got a control"),
        # tables
        ({"inputs": {"image": []}}, "the table is empty"),
        ({"instances": []}, "the table is empty"),
        ({"dataframe_records": []}, "the table is empty"),
        ({"dataframe_split": {"columns": ["image"], "data": []}}, "the table is empty"),
        ({"inputs": {"picture": [text(PNG)]}}, "expected a column 'image'"),
        ({"inputs": {}}, "expected a column 'image'"),
        ({"inputs": {text(PNG): ["x"]}}, "expected a column 'image'"),
        ({"instances": [{"image": text(PNG)}, {"camera_id": "x"}]}, "row 1: expected a picture"),
        ({"inputs": {"image": [text(PNG)], "camera_id": ["a", "b"]}}, "expected columns of one length"),
        ({"inputs": {"image": [text(PNG)], "camera_id": "a"}}, "either a list in every column"),
        ({"inputs": [text(PNG)]}, "row 0: expected an object"),
        ({"inputs": text(PNG)}, "expected a list of objects"),
        ({"instances": {"image": {"a": text(PNG)}, "b": [1]}}, "either a list in every column"),
        ({"dataframe_split": {"columns": ["image"], "data": [[text(PNG), 1]]}}, "row 0: expected a list of 1 values"),
        ({"dataframe_split": {"data": [[text(PNG)]]}}, "columns: expected a list of names"),
        ({"dataframe_split": {"columns": ["image", "image"], "data": [[text(PNG)] * 2]}}, "a name stands there twice"),
        ({"dataframe_records": {"image": {"0": text(PNG)}}}, "expected a list of objects"),
        # params
        ({"inputs": IMAGE, "params": {"confidence": 1.5}}, "confidence: expected a number from 0 to 1, got 1.5"),
        ({"inputs": IMAGE, "params": {"confidence": -0.1}}, "confidence: expected a number from 0 to 1"),
        ({"inputs": IMAGE, "params": {"confidence": float("nan")}}, None),  # null: the model's own
        ({"inputs": IMAGE, "params": {"confidence": "high"}}, "confidence: expected a number from 0 to 1, got str"),
        ({"inputs": IMAGE, "params": {"confidence": text(PNG)}}, "confidence: expected a number"),
        ({"inputs": IMAGE, "params": {"confidence": True}}, "confidence: expected a number"),
        ({"inputs": IMAGE, "params": {"classes": "person,unicorn"}}, "does not know 'unicorn'; it knows person, car"),
        ({"inputs": IMAGE, "params": {"classes": ""}}, "expected at least one class"),
        ({"inputs": IMAGE, "params": {"classes": [1]}}, "names separated by commas, or a list of names"),
        ({"inputs": IMAGE, "params": {"classes": "[person"}}, "names separated by commas"),
        ({"inputs": IMAGE, "params": {"classes": "[" + "7" * 5000 + "]"}}, "names separated by commas"),
        ({"inputs": IMAGE, "params": {"classes": text(PNG)}}, "does not know"),
        ({"inputs": IMAGE, "params": {"scene": "{"}}, "params: scene: no valid JSON"),
        ({"inputs": IMAGE, "params": {"scene": text(PNG)}}, "params: scene: no valid JSON"),
        ({"inputs": IMAGE, "params": {"scene": '{"lines": ' + "7" * 5000 + "}"}}, "params: scene: no"),
        ({"inputs": IMAGE, "params": {"scene": '{"zones": [{"name": "a", "polygon": [[0, 0], [1, 1]]}]}'}}, "at least 3 corners"),
        ({"inputs": IMAGE, "params": {"scene": {"zones": [{"name": "z", "polygon": [[0, 0], [900, 0], [900, 900]]}]}}}, "row 0: .*outside the picture"),
        ({"inputs": IMAGE, "params": {"scene": {"zones": [{"name": "z", "classes": ["cat"], "polygon": [[0, 0], [1, 0], [1, 1]]}]}}}, "does not know the class 'cat'"),
        ({"inputs": IMAGE, "params": {"scene": {"zones": [{"name": text(PNG), "polygon": 3}]}}}, "scene"),
        ({"inputs": IMAGE, "params": {"scene": {"lines": [{"name": "gate", "from": [0, 0], "to": [640, 9]}]}}}, "row 0: image: the scene has lines and no zone"),
        ({"inputs": IMAGE, "params": {"on_error": "explode"}}, "on_error: expected 'fail' or 'skip', got 'explode'"),
        ({"inputs": IMAGE, "params": {"on_error": text(PNG)}}, "on_error: expected 'fail' or 'skip'"),
        ({"inputs": IMAGE, "params": {"confidense": 0.5}}, "params: 'confidense' is not known; expected confidence"),
        ({"inputs": IMAGE, "params": {text(PNG): 0.5}}, "is not known"),
        ({"inputs": IMAGE, "params": [0.5]}, "params: expected an object, got a list"),
        ({"inputs": IMAGE, "params": text(PNG)}, "params: expected an object, got text"),
        # envelopes
        ({"image": text(PNG)}, "expected exactly one of dataframe_split, dataframe_records, inputs, instances"),
        ({"inputs": IMAGE, "instances": [{"image": text(PNG)}]}, "expected exactly one of"),
        ({"inputs": IMAGE, "confidence": 0.5}, "'confidence' is not known"),
        ({"messages": [{"content": text(PNG)}]}, "expected exactly one of"),
        ({"input": text(PNG)}, "expected exactly one of"),
        ([{"image": text(PNG)}], "expected a JSON object"),
        (json.dumps({"inputs": IMAGE})[:-1], "the body is no JSON"),
        (json.dumps({"inputs": IMAGE})[:-20], "the body is no JSON"),
        (text(PNG), "the body is no JSON"),
        (PNG, "the body is no JSON"),
        (b"", "the body is no JSON"),
        ("[" * 100_000, "the body is no JSON"),
        ('{"inputs": ' + "7" * 5000 + "}", "a number has thousands of digits"),
        ('{"instances": [{"image": "aGk=", "image": "aGk="}]}', "the key 'image' stands there twice"),
        ('{"inputs": {"image": ["aGk="]}, "inputs": {"image": ["aGk="]}}', "the key 'inputs' stands there twice"),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_why_and_not_echoed(client: Any, body: Any, reason: str | None) -> None:
    import re

    answer = ask(client, body)
    if reason is None:
        assert answer.status_code == 200
        return
    assert answer.status_code == 400, answer.text[:300]
    message = answer.json()["message"]
    assert re.search(reason if ".*" in reason else re.escape(reason), message), message


@pytest.mark.parametrize(
    ("kind", "content", "status", "reason"),
    [
        ("application/vnd.apache.parquet", PNG, 400, "no Parquet file"),
        ("application/vnd.apache.parquet", b"PAR1" + PNG + b"PAR1", 400, "no Parquet file"),
        ("text/csv", b"image\n" + text(PNG).encode()[:-3], 400, "row 0: image: expected base64"),
        ("text/csv", PNG, 400, "no CSV in UTF-8"),
        ("text/csv", b"", 400, "expected a column 'image'"),
        ("text/csv", b"image,image\naGk=,aGk=", 400, "the column 'image' stands there twice"),
        ("text/csv", b"image,camera_id\naGk=,a,b", 400, "line 2 has more cells than the header"),
        ("text/plain", text(PNG), 415, "expected the content type application/json"),
        ("multipart/form-data; boundary=x", PNG, 415, "expected the content type"),
        ("application/json; charset=latin-1", text(PNG), 415, "expected the charset utf-8"),
    ],
)
def test_other_bodies_are_refused_without_an_echo(
    client: Any, kind: str, content: Any, status: int, reason: str
) -> None:
    answer = ask(client, content, **{"content-type": kind})
    assert (answer.status_code, reason in answer.json()["message"]) == (status, True), answer.text


def test_skip_answers_the_good_rows_and_says_why_for_the_others(client: Any) -> None:
    cells = [text(PNG), text(PNG)[:-5], None, text(JPEG), text(BOMB)]
    answer = ask(client, {"inputs": {"image": cells}, "params": {"on_error": "skip"}})
    assert answer.status_code == 200
    rows = answer.json()["predictions"]
    assert [row["row"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["counts"] for row in rows] == [EXPECTED[0], None, None, EXPECTED[2], None]
    assert [row["total"] for row in rows] == [3, None, None, 3, None]
    for row, reason in zip(
        rows,
        [None, "row 1: image: expected base64", "row 2: expected a picture", None, "row 4: the picture is 9000"],
        strict=True,
    ):
        assert (row["error"] is None) if reason is None else row["error"].startswith(reason)
    for cell in cells:
        assert_no_echo(str(cell), answer.text)


def test_skip_does_not_excuse_params(client: Any) -> None:
    answer = ask(client, {"inputs": IMAGE, "params": {"on_error": "skip", "confidence": 2}})
    assert answer.status_code == 400


def test_other_forms_of_a_picture_are_taken(client: Any) -> None:
    wrapped = base64.encodebytes(PNG).decode()  # with line breaks, as the base64 command writes it
    for cell in (wrapped, "data:image/png;base64," + text(PNG), wrapped.replace("\n", "\r\n")):
        answer = ask(client, {"inputs": {"image": [cell]}})
        assert answer.json()["predictions"][0]["counts"] == EXPECTED[0]
    assert ask(client, {"inputs": {"image": text(PNG)}}).json()["predictions"][0]["total"] == 3


def test_more_rows_than_allowed_are_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_COUNTING_MAX_ROWS", "2")
    assert ask(client, {"inputs": {"image": [text(EMPTY)] * 2}}).status_code == 200
    answer = ask(client, {"inputs": {"image": [text(EMPTY)] * 3}})
    assert (answer.status_code, "at most 2 rows, got 3" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_request_that_takes_too_long_is_given_up(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_error: str
) -> None:
    monkeypatch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "0")  # read anew for each request
    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path / "log"))
    for inputs in (IMAGE, {"video": [text(clip(tmp_path / "clip.mp4"))]}):
        answer = ask(client, {"inputs": inputs, "params": {"on_error": on_error}})
        assert answer.status_code == 503, answer.text
        assert "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT" in answer.json()["message"]
    assert len(camera_counting.read_predictions(str(tmp_path / "log"))) == 0


def test_a_request_that_is_sent_again_is_logged_once(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path / "log"))
    known = {"camera_id": ["gate"], "timestamp": ["2026-03-01T12:00:00Z"]}
    video = {"video": [text(clip(tmp_path / "clip.mp4"))]}

    def rows(inputs: dict[str, Any], **params: Any) -> int:
        assert ask(client, {"inputs": inputs, "params": params}).status_code == 200
        return len(camera_counting.read_predictions(str(tmp_path / "log")))

    assert [rows(IMAGE | known), rows(IMAGE | known)] == [1, 1]
    assert [rows(video | known), rows(video | known)] == [2, 2]
    camera_counting.prediction_log.active_log().flush()
    assert rows(IMAGE | known) == 2  # packed or not
    # another picture, camera, moment or way to count is another row
    assert rows({"image": [text(EMPTY)]} | known) == 3
    assert rows(IMAGE | known | {"camera_id": ["yard"]}) == 4
    assert rows(IMAGE | known | {"timestamp": ["2026-03-01T12:00:01Z"]}) == 5
    assert rows(IMAGE | known, confidence=0.6) == 6
    # where nobody says which moment it was, two alike are two
    assert [rows(IMAGE), rows(IMAGE)] == [7, 8]


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_detector_that_fails_is_not_the_clients_fault(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_error: str
) -> None:
    from camera_counting.detectors.detector import GraphDetector
    from camera_counting.errors import DetectorError

    def fail(*_: object) -> None:
        raise DetectorError("the detector speaks of class number 7")

    monkeypatch.setattr(GraphDetector, "_decoded", fail)
    for inputs in (IMAGE, {"video": [text(clip(tmp_path / "clip.mp4"))]}):
        answer = ask(client, {"inputs": inputs, "params": {"on_error": on_error}})
        assert answer.status_code == 500, answer.text
        assert answer.json()["message"] == "the detector speaks of class number 7"


def test_numbers_that_json_cannot_hold_end_in_an_error_of_the_same_form(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from camera_counting.model import PictureCount

    monkeypatch.setattr(PictureCount, "total", float("nan"))
    answer = ask(client, {"inputs": IMAGE})
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")


def test_a_failure_inside_says_nothing_of_the_payload(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from camera_counting.model import CountingModel

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"no memory for {text(PNG)}")

    monkeypatch.setattr(CountingModel, "count_each", fail)
    answer = ask(client, {"inputs": IMAGE})
    assert answer.status_code == 500
    assert "its log says where" in answer.json()["message"]
    assert "RuntimeError" in caplog.text
    assert_no_echo(text(PNG), caplog.text)


def test_models_of_other_flavours_are_served_as_ever(tmp_path: Path, client: Any) -> None:
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server
    from starlette.testclient import TestClient

    class Double(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: list[int], params: Any = None) -> list[int]:
            return [2 * number for number in model_input]

    mlflow.pyfunc.save_model(str(tmp_path / "double"), python_model=Double(), pip_requirements=["mlflow-skinny"])
    with TestClient(scoring_server.init(mlflow.pyfunc.load_model(str(tmp_path / "double")))) as other:
        assert other.post("/invocations", json={"inputs": [1, 2]}).json() == {"predictions": [2, 4]}
        assert other.get("/ping").status_code == 200
        # whatever else a version of MLflow hands over
        model = mlflow.pyfunc.load_model(str(tmp_path / "double"))
        told = scoring_server.invocations(b'{"inputs": [3]}', "application/json", model=model, input_schema=None)
        assert json.loads(told.response) == {"predictions": [6]}
