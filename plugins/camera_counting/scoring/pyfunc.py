"""The model as MLflow serves it: a table in, a table out, one row of the answer per row of the request."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from camera_counting.errors import PictureError, RequestError, SceneError
from camera_counting.model import CountingModel, PictureCount
from camera_counting.picture_features import picture_features
from camera_counting.pictures import Picture, decode_picture
from camera_counting.prediction_log import Prediction, active_log
from camera_counting.scoring.clips import ClipWatch, count_clip
from camera_counting.scoring.params import RequestParams, read_params
from camera_counting.scoring.redaction import without_payload
from camera_counting.scoring.rows import RequestRow, read_rows, rows_of_columns, rows_of_table

if TYPE_CHECKING:
    import pandas as pd

    from camera_counting.counting import VideoCount
    from camera_counting.scene import Scene
    from camera_counting.scoring.deadline import Deadline

__all__ = ["ANSWER_COLUMNS", "CountingPyfunc"]

_REQUESTS = uuid.UUID("6f1d3c0e-54a4-4d0c-9a60-2f0a3c1f7b52")  # the name space of the log's ids

ANSWER_COLUMNS = (
    "row",
    "kind",
    "camera_id",
    "total",
    "counts",
    "zones",
    "lines",
    "detections",
    "width",
    "height",
    "frames",
    "seconds",
    "error",
)


class CountingPyfunc:
    """What `mlflow.pyfunc.load_model` wraps. Thread-safe.

    Parameters
    ----------
    model : CountingModel
    """

    def __init__(self, model: CountingModel) -> None:
        self.model = model

    def get_raw_model(self) -> CountingModel:
        """For `mlflow.pyfunc.PyFuncModel.get_raw_model`."""
        return self.model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Count a table of pictures and clips.

        Parameters
        ----------
        model_input : pandas.DataFrame or dict of columns
            `image` (bytes of a JPEG, PNG or WebP file, or base64 text of them) or `video` (the same of a short
            clip); optional `camera_id` and `timestamp` (ISO 8601, or seconds since 1970).
        params : dict, optional
            `confidence` (0 to 1), `classes` (comma-separated or a JSON list), `scene` (JSON, as a scene file holds
            it), `on_error` ("fail" or "skip").

        Returns
        -------
        pandas.DataFrame
            One row per row of the request, in order, with `ANSWER_COLUMNS`: `row` (number from 0), `kind`,
            `total`, `counts` per class, `detections` with class, confidence and box. For a picture `zones` holds
            counts per zone and class; for a clip `lines` and `zones` are those of `camera-counting count`, and
            `counts` the objects seen at all. `error` is null but where `on_error` is "skip" and the row could not
            be counted; then everything else is null.

        Raises
        ------
        RequestError
            Where the request makes no sense or, with `on_error` "fail", a row cannot be counted; nothing of the
            request is then counted or logged.
        """
        import pandas as pd

        if isinstance(model_input, pd.DataFrame):
            table, columns = rows_of_table(model_input), [str(name) for name in model_input.columns]
        elif isinstance(model_input, Mapping):
            table, columns = rows_of_columns(model_input), [str(name) for name in model_input]
        else:
            raise RequestError(
                f"expected a table with a column 'image' or 'video', got {type(model_input).__name__}"
            )
        return pd.DataFrame(self.answer(table, columns, params), columns=list(ANSWER_COLUMNS), dtype=object)

    def answer(
        self,
        table: list[dict[str, Any]],
        columns: list[str],
        params: Mapping[str, Any] | None,
        deadline: Deadline | None = None,
    ) -> list[dict[str, Any]]:
        """`predict` with rows of plain values in and out.

        Raises
        ------
        RequestError
            As `predict`.
        OutOfTime
            Where the deadline passes before all rows are counted; nothing is then logged.
        """
        wanted = read_params(params, self.model)
        answers: dict[int, dict[str, Any]] = {}
        predictions: list[Prediction] = []
        good: list[RequestRow] = []
        for number, row in enumerate(read_rows(table, columns)):
            if isinstance(row, RequestError):
                self._refuse(number, str(row), wanted, answers)
            else:
                good.append(row)
        pictures = [row for row in good if row.kind == "image"]
        for row, answer, prediction in self._count_pictures(pictures, wanted, answers, deadline):
            answers[row.number] = answer
            predictions.append(prediction)
        for row in good:
            if row.kind == "video":
                try:
                    answers[row.number], prediction = self._count_clip(row, wanted, deadline)
                    predictions.append(prediction)
                except RequestError as error:
                    self._refuse(row.number, f"row {row.number}: {error}", wanted, answers)
        if (log := active_log()) is not None:
            log.append(predictions)
        return [answers[number] for number in sorted(answers)]

    def _count_pictures(
        self,
        rows: list[RequestRow],
        params: RequestParams,
        answers: dict[int, dict[str, Any]],
        deadline: Deadline | None,
    ) -> Iterator[tuple[RequestRow, dict[str, Any], Prediction]]:
        ahead: list[tuple[RequestRow, dict[str, float], str]] = []
        logging_on = active_log() is not None

        def decoded() -> Iterator[Picture]:
            for row in rows:
                if deadline is not None:
                    deadline.check()
                try:
                    content = row.content()
                    picture = _decoded(content, params.scene)
                except (PictureError, RequestError, SceneError) as error:
                    self._refuse(row.number, f"row {row.number}: {error}", params, answers)
                    continue
                features = picture_features(picture) if logging_on else {}
                ahead.append((row, features, self._id(row, content, params) if logging_on else ""))
                yield picture

        before = time.perf_counter()
        counted = self.model.count_each(
            decoded(), scene=params.scene, confidence=params.confidence, classes=params.classes
        )
        for count in counted:
            row, features, name = ahead.pop(0)
            now = time.perf_counter()
            answer = _picture_answer(row, count)
            scores = count.detections.scores
            yield row, answer, self._prediction(name, row, answer, scores, features, now - before)
            before = now

    def _count_clip(
        self, row: RequestRow, params: RequestParams, deadline: Deadline | None
    ) -> tuple[dict[str, Any], Prediction]:
        before = time.perf_counter()
        content = row.content()
        count, watch = count_clip(
            self.model, content, params, deadline=deadline, with_features=active_log() is not None
        )
        answer = _clip_answer(row, count, watch, params.classes or self.model.names)
        scores = np.asarray(watch.scores, np.float32)
        name, seconds = self._id(row, content, params), time.perf_counter() - before
        return answer, self._prediction(name, row, answer, scores, watch.features(), seconds)

    def _id(self, row: RequestRow, content: bytes, params: RequestParams) -> str:
        """The same for a request that is sent again, after a timeout perhaps, so that the log counts it once."""
        if row.time is None or row.camera_id is None:
            return uuid.uuid4().hex  # two alike may be two moments, or two cameras
        scene = params.scene and params.scene.to_dict()
        told = [
            *(self.model.digest, row.camera_id, row.time.timestamp(), hashlib.sha256(content).hexdigest()),
            *(params.confidence, params.classes, scene),
        ]
        return uuid.uuid5(_REQUESTS, json.dumps(told, default=str)).hex

    def _prediction(
        self,
        name: str,
        row: RequestRow,
        answer: dict[str, Any],
        scores: Any,
        features: dict[str, float],
        seconds: float,
    ) -> Prediction:
        return Prediction(
            id=name,
            time=row.time or datetime.now(UTC),
            camera_id=row.camera_id or "",
            model_name=self.model.name or "",
            model_version=self.model.version or "",
            model_digest=self.model.digest,
            kind=row.kind,
            counts=answer["counts"],
            total=answer["total"],
            confidence_mean=float(np.mean(scores)) if len(scores) else None,
            confidence_min=float(np.min(scores)) if len(scores) else None,
            confidence_p10=float(np.quantile(scores, 0.1)) if len(scores) else None,
            brightness=features.get("brightness"),
            contrast=features.get("contrast"),
            sharpness=features.get("sharpness"),
            width=answer["width"],
            height=answer["height"],
            latency_ms=seconds * 1000,
        )

    def _refuse(self, number: int, reason: str, params: RequestParams, answers: dict[int, dict[str, Any]]) -> None:
        if not params.skip:
            raise RequestError(reason)
        answers[number] = {**dict.fromkeys(ANSWER_COLUMNS), "row": number, "error": without_payload(reason)}


def _decoded(content: bytes, scene: Scene | None) -> Picture:
    if scene is not None and not scene.zones:
        raise RequestError(
            "image: the scene has lines and no zone, and a line is crossed in a clip alone; send a clip as "
            "'video', or give the scene a zone"
        )
    picture = decode_picture(content)
    if scene is not None:
        scene.for_size(picture.shape[1], picture.shape[0])
    return picture


def _picture_answer(row: RequestRow, count: PictureCount) -> dict[str, Any]:
    told = {**dict.fromkeys(ANSWER_COLUMNS), **count.to_dict()}
    return {**told, "row": row.number, "kind": "image", "camera_id": row.camera_id}


def _clip_answer(row: RequestRow, count: VideoCount, watch: ClipWatch, classes: tuple[str, ...]) -> dict[str, Any]:
    told = count.to_dict()
    return {
        **dict.fromkeys(ANSWER_COLUMNS),
        "row": row.number,
        "kind": "video",
        "camera_id": row.camera_id,
        "total": sum(told["classes"].values()),
        "counts": {name: told["classes"].get(name, 0) for name in classes},
        "zones": told["zones"],
        "lines": told["lines"],
        "width": watch.width,
        "height": watch.height,
        "frames": told["frames"],
        "seconds": told["seconds"],
    }
