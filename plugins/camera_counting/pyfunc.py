"""The model as MLflow serves it: a table in, a table out, one row of the answer per row of the request."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camera_counting.errors import CountingError, RequestError
from camera_counting.model import CountingModel, PictureCount
from camera_counting.picture_features import picture_features
from camera_counting.pictures import Picture, decode_picture
from camera_counting.prediction_log import Prediction, active_log
from camera_counting.request import (
    RequestParams,
    RequestRow,
    read_params,
    read_rows,
    rows_of_columns,
    rows_of_table,
    without_payload,
)

if TYPE_CHECKING:
    import pandas as pd

    from camera_counting.counting import FrameCount, VideoCount

__all__ = ["ANSWER_COLUMNS", "CountingPyfunc"]

_logger = logging.getLogger(__name__)

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
        self, table: list[dict[str, Any]], columns: list[str], params: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        """`predict` with rows of plain values in and out."""
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
        for row, answer, prediction in self._count_pictures(pictures, wanted, answers):
            answers[row.number] = answer
            predictions.append(prediction)
        for row in good:
            if row.kind == "video":
                try:
                    answers[row.number], prediction = self._count_clip(row, wanted)
                    predictions.append(prediction)
                except CountingError as error:
                    self._refuse(row.number, f"row {row.number}: {error}", wanted, answers)
        if (log := active_log()) is not None:
            log.append(predictions)
        return [answers[number] for number in sorted(answers)]

    def _count_pictures(
        self, rows: list[RequestRow], params: RequestParams, answers: dict[int, dict[str, Any]]
    ) -> Iterator[tuple[RequestRow, dict[str, Any], Prediction]]:
        ahead: list[tuple[RequestRow, dict[str, float]]] = []
        logging_on = active_log() is not None

        def decoded() -> Iterator[Picture]:
            for row in rows:
                try:
                    picture = decode_picture(row.content())
                    if params.scene is not None:
                        params.scene.for_size(picture.shape[1], picture.shape[0])
                except CountingError as error:
                    self._refuse(row.number, f"row {row.number}: {error}", params, answers)
                    continue
                ahead.append((row, picture_features(picture) if logging_on else {}))
                yield picture

        before = time.perf_counter()
        counted = self.model.count_each(
            decoded(), scene=params.scene, confidence=params.confidence, classes=params.classes
        )
        for count in counted:
            row, features = ahead.pop(0)
            now = time.perf_counter()
            answer = _picture_answer(row, count)
            yield row, answer, self._prediction(row, answer, count.detections.scores, features, now - before)
            before = now

    def _count_clip(self, row: RequestRow, params: RequestParams) -> tuple[dict[str, Any], Prediction]:
        content = row.content()
        limit = _number("CAMERA_COUNTING_MAX_CLIP_MB", 50)
        if len(content) > limit * 1e6:
            raise RequestError(
                f"the clip has {len(content) / 1e6:.1f} MB, more than the {limit:g} MB that are allowed"
            )
        if content.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")) and content[8:12] != b"AVI ":
            # a decoder of clips would take it for a clip of one frame, in which nothing ever moves
            raise RequestError("video: that is a picture; send it as 'image'")
        before = time.perf_counter()
        watch = _ClipWatch(_number("CAMERA_COUNTING_MAX_CLIP_SECONDS", 60), active_log() is not None)
        # a decoder wants a file; it is gone before the answer is given
        with tempfile.TemporaryDirectory(prefix="camera-counting-") as folder:
            path = Path(folder) / "clip.mp4"
            path.write_bytes(content)
            try:
                count = self.model.count_video(
                    path, params.scene, confidence=params.confidence, classes=params.classes, on_frame=watch
                )
            except CountingError as error:
                # the temporary file's name says nothing to who sent the clip
                raise RequestError(
                    str(error).replace(str(path), "the clip").replace(path.name, "the clip")
                ) from None
        if count.frames == 0:
            raise RequestError("video: the clip has no frame that can be read")
        if count.warnings:
            raise RequestError(f"video: the clip is damaged: {count.warnings[0]}".replace(path.name, "the clip"))
        answer = _clip_answer(row, count, watch, params.classes or self.model.names)
        scores = np.asarray(watch.scores, np.float32)
        return answer, self._prediction(row, answer, scores, watch.features(), time.perf_counter() - before)

    def _prediction(
        self,
        row: RequestRow,
        answer: dict[str, Any],
        scores: Any,
        features: dict[str, float],
        seconds: float,
    ) -> Prediction:
        return Prediction(
            id=uuid.uuid4().hex,
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


class _ClipWatch:
    """Looks at a clip's frames as they are counted: its length, its size, its features."""

    def __init__(self, seconds: float, with_features: bool) -> None:
        self.width = self.height = 0
        self.scores: list[float] = []
        self._seconds, self._with_features = seconds, with_features
        self._sums: list[dict[str, float]] = []
        self._next = 0.0

    def __call__(self, seen: FrameCount) -> None:
        if seen.frame.seconds > self._seconds:
            raise RequestError(
                f"video: the clip is longer than the {self._seconds:g} seconds that are allowed; count it with "
                "`camera-counting count`"
            )
        self.height, self.width = seen.frame.image.shape[:2]
        if self._with_features:
            self.scores.extend(float(score) for score in seen.tracks.scores)
            if seen.frame.seconds >= self._next:
                self._sums.append(picture_features(seen.frame.image))
                self._next = seen.frame.seconds + 1.0

    def features(self) -> dict[str, float]:
        """Mean of one frame a second."""
        if not self._sums:
            return {}
        return {name: float(np.mean([sample[name] for sample in self._sums])) for name in self._sums[0]}


def _picture_answer(row: RequestRow, count: PictureCount) -> dict[str, Any]:
    told = {**dict.fromkeys(ANSWER_COLUMNS), **count.to_dict()}
    return {**told, "row": row.number, "kind": "image", "camera_id": row.camera_id}


def _clip_answer(
    row: RequestRow, count: VideoCount, watch: _ClipWatch, classes: tuple[str, ...]
) -> dict[str, Any]:
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


def _number(name: str, default: float) -> float:
    try:
        return float(os.environ.get(name, "") or default)
    except ValueError:
        _logger.warning("%s: expected a number, using %g", name, default)
        return default
