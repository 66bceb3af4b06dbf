"""Keeps MLflow's scoring server from echoing pictures.

`mlflow models serve` puts the whole payload into its answer where the body is no JSON, where its schema check
fails, or where a model raises its exception; and it reads `instances` column by column, so that rows with
different keys slide into each other. MLflow has no hook in front of that, so for models of this flavour, and only
for them, its `invocations` is answered here: the body is read by `request_body`, and an error says which row and
why, without a traceback. Every other model in the same process is served by MLflow's own function.
"""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

from camera_counting.errors import CountingError, DetectorError, RequestError
from camera_counting.request import without_payload

__all__ = ["install"]

_logger = logging.getLogger(__name__)

_MARK = "_camera_counting_guard"


def install() -> None:
    """Stand in front of MLflow's `invocations`; harmless when done twice."""
    from mlflow.pyfunc import scoring_server

    original = getattr(scoring_server, "invocations", None)
    if original is None:
        _logger.warning(
            "this MLflow's scoring server is not known; its own error answers may echo request payloads"
        )
        return
    if getattr(original, _MARK, False):
        return

    def invocations(data: Any, content_type: str | None, model: Any, input_schema: Any) -> Any:
        from camera_counting.pyfunc import CountingPyfunc

        served = getattr(model, "_model_impl", None)
        if not isinstance(served, CountingPyfunc):
            return original(data, content_type, model, input_schema)
        status, answer = _answer(data, content_type, served)
        return scoring_server.InvocationsResponse(
            response=json.dumps(answer, allow_nan=False), status=status, mimetype="application/json"
        )

    setattr(invocations, _MARK, True)
    scoring_server.invocations = invocations


def _answer(data: Any, content_type: str | None, served: Any) -> tuple[int, dict[str, Any]]:
    from camera_counting.request_body import UnsupportedBody, read_body

    try:
        table, columns, params = read_body(data, content_type)
        return 200, {"predictions": served.answer(table, columns, params)}
    except UnsupportedBody as error:
        return 415, _error("BAD_REQUEST", error)
    except DetectorError as error:
        _logger.exception("the detector failed")
        return 500, _error("INTERNAL_ERROR", error)
    except (RequestError, CountingError) as error:
        return 400, _error("BAD_REQUEST", error)
    except Exception as error:  # noqa: BLE001 - the answer of a server's last resort
        # whatever it is, its text may hold what was sent: the server's log gets the place, the client gets neither
        place = "".join(traceback.format_tb(error.__traceback__))
        _logger.error("a counting request failed with %s at\n%s", type(error).__name__, place)
        return 500, _error("INTERNAL_ERROR", "the server failed on this request; its log says where")


def _error(code: str, reason: object) -> dict[str, Any]:
    return {"error_code": code, "message": without_payload(str(reason))}
