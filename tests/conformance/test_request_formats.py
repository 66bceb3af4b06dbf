"""What every format of a scoring request must do alike; one that is added stands in `tests/request_formats.py`."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import camera_counting
from tests.request_formats import FORMATS, PARQUET, png, scoring_client, text
from tests.toy_detector import picture

STREET = text(png(picture(320, 240, [("person", 40, 60, 90, 160), ("car", 200, 100, 300, 180)])))
EMPTY = text(png(picture(320, 240, [])))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with scoring_client(tmp_path_factory.mktemp("formats")) as client:
        yield client


def ask(client: Any, kind: str, columns: dict[str, list[Any]]) -> Any:
    encode, content_type = FORMATS[kind]
    return client.post("/invocations", content=encode(columns), headers={"content-type": content_type})


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_come_back_in_order(client: Any, kind: str) -> None:
    answer = ask(client, kind, {"image": [STREET, EMPTY], "camera_id": ["a", None]})
    assert answer.status_code == 200, answer.text
    rows = answer.json()["predictions"]
    assert [(row["camera_id"], row["counts"]) for row in rows] == [
        ("a", {"person": 1, "car": 1}),
        (None, {"person": 0, "car": 0}),
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_column_that_is_not_known_is_refused(client: Any, kind: str) -> None:
    answer = ask(client, kind, {"image": [STREET], "cameraid": ["a"]})
    assert answer.status_code == 400, answer.text
    assert "'cameraid' is not known; expected image, video, camera_id, timestamp" in answer.json()["message"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("timestamp", [1769846400, "1769846400", "2026-01-31T09:00:00+01:00", "2026-01-31 08:00"])
def test_a_time_means_the_same(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, timestamp: Any
) -> None:
    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path))
    answer = ask(client, kind, {"image": [EMPTY], "timestamp": [timestamp]})
    assert answer.status_code == 200, answer.text
    (time,) = camera_counting.read_predictions(str(tmp_path))["time"]
    assert time == datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize("parameters", ["; charset=utf-8; profile=x", ';charset="UTF-8"', "; profile=x"])
def test_parameters_of_a_content_type_are_told_apart(client: Any, parameters: str) -> None:
    encode, content_type = FORMATS["inputs"]
    headers = {"content-type": content_type + parameters}
    assert client.post("/invocations", content=encode({"image": [EMPTY]}), headers=headers).status_code == 200


def test_the_index_that_pandas_writes_before_a_csv_is_no_column(client: Any) -> None:
    body = pd.DataFrame({"image": [EMPTY]}).to_csv()
    assert client.post("/invocations", content=body, headers={"content-type": "text/csv"}).status_code == 200


def parquet(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def test_the_index_that_pandas_puts_into_a_file_is_no_column(client: Any) -> None:
    body = parquet(pa.table({"image": [STREET], "__index_level_0__": ["x"]}))
    assert client.post("/invocations", content=body, headers={"content-type": PARQUET}).status_code == 200


def test_a_value_that_stands_in_every_row_does_not_fill_the_memory(client: Any) -> None:
    # 4 MB that the file holds once, compressed, and a thousand rows that mean it
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array([b"\x89PNG" * 1_000_000]))
    for typed in (True, False):
        body = parquet(pa.table({"image": values}), compression="zstd", store_schema=typed)
        assert len(body) < 100_000
        tracemalloc.start()
        answer = client.post("/invocations", content=body, headers={"content-type": PARQUET})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert answer.status_code == 400, answer.text
        assert "unpacks to far more" in answer.json()["message"]
        assert peak < 300 << 20


def test_a_table_that_owns_to_its_size_is_refused_before_a_page_is_unpacked(client: Any) -> None:
    body = bytearray(parquet(pa.table({"image": pa.array([bytes(300 << 20)])}), compression="zstd"))
    assert len(body) < 1_000_000
    body[len(body) // 2 : len(body) // 2 + 64] = b"?" * 64  # a page that cannot be unpacked
    answer = client.post("/invocations", content=bytes(body), headers={"content-type": PARQUET})
    assert answer.status_code == 400
    assert "unpacks to far more" in answer.json()["message"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2]]),
        pa.array([{"image": b"x"}]),
    ],
)
def test_nested_columns_are_refused_by_their_type(client: Any, column: pa.Array) -> None:
    answer = client.post(
        "/invocations", content=parquet(pa.table({"image": column})), headers={"content-type": PARQUET}
    )
    assert answer.status_code == 400
    assert "the column 'image': expected text, bytes, numbers or times" in answer.json()["message"]


def test_cells_of_a_parquet_file_that_are_no_values_are_refused(client: Any) -> None:
    broken = {
        "invalid UTF-8": pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"\xff\xfe\xfd")]
        ),
        "a time beyond all calendars": pa.array([2**60], pa.timestamp("us", "UTC")),
        "a zone that there is not": pa.array([0], pa.timestamp("us", "Foo/Bar")),
    }
    for name, cells in broken.items():
        body = parquet(pa.table({"image": [STREET], "timestamp": cells}))
        answer = client.post("/invocations", content=body, headers={"content-type": PARQUET})
        assert answer.status_code == 400, name
        assert "no Parquet file that can be read" in answer.json()["message"]
