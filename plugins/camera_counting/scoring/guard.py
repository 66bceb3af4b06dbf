"""Keeps MLflow's scoring server from echoing pictures.

`mlflow models serve` puts the whole payload into its answer where the body is no JSON, where its schema check
fails, or where a model raises its exception; and it reads `instances` column by column, so that rows with
different keys slide into each other. MLflow has no hook in front of that, so for models of this flavour, and only
for them, its `invocations` is answered here: the body is read by `body.py`, and an error says which row and
why, without a traceback. Every other model in the same process is served by MLflow's own function.
"""

from __future__ import annotations

import inspect
import json
import logging
import traceback
from functools import wraps
from typing import Any

from camera_counting.errors import CountingError, PictureError, RequestError, SceneError, SourceError
from camera_counting.scoring.deadline import Deadline, OutOfTime
from camera_counting.scoring.redaction import without_payload

__all__ = ["install"]

_logger = logging.getLogger(__name__)

_MARK = "_camera_counting_guard"


def install() -> None:
    """Stand in front of MLflow's `invocations`; harmless when done twice."""
    from mlflow.pyfunc import scoring_server

    original: Any = getattr(scoring_server, "invocations", None)
    shape = inspect.signature(original) if callable(original) else inspect.Signature()
    if not {"data", "content_type", "model"} <= set(shape.parameters):
        _logger.warning(
            "this MLflow's scoring server is not known; its own error answers may echo request payloads"
        )
        return
    if getattr(original, _MARK, False):
        return

    @wraps(original)
    def invocations(*args: Any, **kwargs: Any) -> Any:
        from camera_counting.scoring.pyfunc import CountingPyfunc

        given = shape.bind_partial(*args, **kwargs).arguments
        served = getattr(given.get("model"), "_model_impl", None)
        if not isinstance(served, CountingPyfunc):
            return original(*args, **kwargs)
        status, answer = _answer(given.get("data", b""), given.get("content_type"), served)
        return scoring_server.InvocationsResponse(response=answer, status=status, mimetype="application/json")

    setattr(invocations, _MARK, True)
    scoring_server.invocations = invocations


def _answer(data: Any, content_type: str | None, served: Any) -> tuple[int, str]:
    """Status and JSON text of the answer."""
    from camera_counting.scoring.body import UnsupportedBody, read_body

    try:
        table, columns, params = read_body(data, content_type)
        rows = served.answer(table, columns, params, Deadline.of_server())
        return 200, json.dumps({"predictions": rows}, allow_nan=False)
    except UnsupportedBody as error:
        return 415, _error("BAD_REQUEST", error)
    except OutOfTime as error:
        return 503, _error("TEMPORARILY_UNAVAILABLE", error)
    except (PictureError, RequestError, SceneError, SourceError) as error:
        return 400, _error("BAD_REQUEST", error)
    except CountingError as error:
        # the detector, the model's folder: nothing that who asked could mend
        _logger.exception("counting failed")
        return 500, _error("INTERNAL_ERROR", error)
    except Exception as error:  # noqa: BLE001 - the answer of a server's last resort
        # whatever it is, its text may hold what was sent: the server's log gets the place, the client gets neither
        place = "".join(traceback.format_tb(error.__traceback__))
        _logger.error("a counting request failed with %s at\n%s", type(error).__name__, place)
        return 500, _error("INTERNAL_ERROR", "the server failed on this request; its log says where")


def _error(code: str, reason: object) -> str:
    return json.dumps({"error_code": code, "message": without_payload(str(reason))})
