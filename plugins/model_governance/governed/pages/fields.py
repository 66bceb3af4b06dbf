"""What a form or a query says, one field at a time, or a sentence about the field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from mlflow.exceptions import MlflowException

__all__ = ["Fields"]

_LONGEST = 512
_LONGEST_COMMENT = 1000
_MOST = 10**18 - 1  # what every database holds
_EXACT = frozenset({"name", "user"})  # a model or a log-in may be another's but for a blank at its end


class Fields:
    """Fields of one request, from its form, its query or its JSON body."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def form(cls) -> Fields:
        return cls(request.form)

    @classmethod
    def query(cls) -> Fields:
        return cls(request.args)

    @classmethod
    def body(cls) -> Fields:
        """The JSON body; an `MlflowException` where it is no object."""
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            raise MlflowException.invalid_parameter_value("expected a JSON object")
        return cls(body)

    def raw(self, name: str) -> str:
        """What stands there, as it is; empty where nothing does."""
        value = self._values.get(name)
        return value if isinstance(value, str) else ""

    def optional(self, name: str) -> str | None:
        """A text, or None where nothing was written."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        # a version's number may come as one in JSON
        if not isinstance(value, str | int) or isinstance(value, bool) or len(str(value)) > _LONGEST:
            raise MlflowException.invalid_parameter_value(
                f"{name} must be a text of at most {_LONGEST} characters"
            )
        text = str(value)
        return text if name in _EXACT and text.strip() else text.strip() or None

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.optional(name)
        if value is None:
            raise MlflowException.invalid_parameter_value(f"{name} is missing")
        return value

    def texts(self, name: str, most: int) -> list[str]:
        """A list of texts."""
        found = self._values.get(name)
        if (
            not isinstance(found, list)
            or len(found) > most
            or not all(isinstance(each, str) and len(each) <= _LONGEST for each in found)
        ):
            raise MlflowException.invalid_parameter_value(
                f"{name} must be a list of at most {most} texts, each of at most {_LONGEST} characters"
            )
        return found

    def comment(self, name: str) -> str:
        """A reason that a person gave; must say something."""
        value = self.raw(name).strip()
        if not value:
            raise MlflowException.invalid_parameter_value("a comment is missing; say why in a sentence")
        if len(value) > _LONGEST_COMMENT:
            raise MlflowException.invalid_parameter_value(
                f"the comment has {len(value)} characters; {_LONGEST_COMMENT} fit"
            )
        return value

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """One of a few words."""
        value = self.text(name)
        if value not in allowed:
            raise MlflowException.invalid_parameter_value(f"{name} is {value!r}; expected {', '.join(allowed)}")
        return value

    def number(self, name: str, default: int, least: int = 0, most: int = _MOST) -> int:
        """A whole number from `least` to `most`."""
        value = self.optional(name)
        if value is None:
            return default
        digits = value.isascii() and value.isdigit() and len(value) <= len(str(_MOST))
        if not digits or not least <= int(value) <= most:
            raise MlflowException.invalid_parameter_value(
                f"{name} is {value!r}; expected a number from {least}{'' if most == _MOST else f' to {most}'}"
            )
        return int(value)
