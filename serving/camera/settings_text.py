"""What a file of settings says, made into what it means: paths beside that file, secrets from the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationInfo

__all__ = ["FOLDER", "Part", "beside", "from_environment", "place"]

FOLDER = "folder"
"""Key of the validation's context: the folder in which relative paths begin."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Part(BaseModel):
    """Frozen settings that forbid unknown keys; a key's docstring is its description in the JSON schema."""

    # defaults are validated, too: a path that nobody wrote down begins at the file's folder like any other
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


def beside(value: str | Path, info: ValidationInfo) -> Path:
    """A path as it stands, or from the folder of the file that names it.

    Raises
    ------
    ValueError
        Where it begins with ~ and the name of nobody.
    """
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"expected a path, or one from the home of somebody known here, got {value}") from None
    folder = (info.context or {}).get(FOLDER)
    return path if folder is None else Path(folder) / path


def place(value: str, info: ValidationInfo) -> str:
    """A URI (`s3://...`, `models:/...`) as it is, a path from the file's folder."""
    return value if re.match(r"[a-z][a-z0-9+.-]+:/", value) else str(beside(value, info))


def from_environment(value: str) -> str:
    """A text with every ${NAME} replaced by what the environment holds under NAME.

    Raises
    ------
    ValueError
        Where it holds nothing under it.

    Examples
    --------
    >>> os.environ["CAMERA_COUNTING_EXAMPLE"] = "s3cret"
    >>> from_environment("rtsp://gate:${CAMERA_COUNTING_EXAMPLE}@10.0.0.7/1")
    'rtsp://gate:s3cret@10.0.0.7/1'
    """

    def found(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ValueError(f"expected the environment to hold {name}, which ${{{name}}} names; set it")
        return os.environ[name]

    return _VARIABLE.sub(found, value)
