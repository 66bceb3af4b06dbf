"""Settings of a pipeline step: one frozen, strict Pydantic model per step that is also its command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from traceback import walk_tb
from typing import Self

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

__all__ = ["StepSettings", "explained"]


class StepSettings(BaseSettings):
    """Base of every step's settings.

    Values come from the constructor or from the command line (``--key value``), never silently from the
    environment: a step's record in MLflow is then all there is to know of it.

    Examples
    --------
    >>> class Prepare(StepSettings):
    ...     pictures: int = 240
    >>> Prepare.from_command_line(["--pictures", "12"]).pictures
    12
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_implicit_flags=False,
        cli_kebab_case=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @classmethod
    def from_command_line(cls, arguments: list[str] | None = None) -> Self:
        """Read ``--key value`` pairs; None reads this process's own arguments. Exits with 2 on a wrong one."""
        try:
            return cls(_cli_parse_args=True if arguments is None else arguments)
        except ValidationError as error:
            for fault in error.errors():
                click.echo(f"error: {_sentence(fault)}", err=True)
            raise SystemExit(2) from error


def _sentence(fault: ErrorDetails) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return message  # the options do not fit together
    got = "" if fault["type"] == "missing" else f", got {fault['input']!r}"
    return f"--{'.'.join(map(str, fault['loc']))}: {message}{got}"


def explained(main: Callable[[], None]) -> Callable[[], None]:
    """Let a step's `main` end with a sentence and exit code 1 where it refuses; a defect keeps its traceback."""

    @wraps(main)
    def run() -> None:
        try:
            main()
        except Exception as error:
            if not isinstance(error, _refusals()) and not _is_our_own_value_error(error):
                raise
            raise SystemExit(f"error: {error}") from error

    return run


def _refusals() -> tuple[type[Exception], ...]:
    """What the steps raise to say no; imported when one does, since a step needs not all of these packages."""
    from mlflow.exceptions import MlflowException

    from camera_counting.errors import CountingError
    from counting_evaluator.errors import EvaluationError
    from model_governance.errors import GovernanceError
    from pipelines.datasets.errors import DatasetError
    from pipelines.lineage_graph.errors import LineageGraphError
    from pipelines.reproduction.errors import ReproductionError
    from pipelines.trainers.trainer import TrainingError
    from run_lineage import LineageError

    return (
        CountingError,
        DatasetError,
        EvaluationError,
        GovernanceError,
        LineageError,
        LineageGraphError,
        ReproductionError,
        TrainingError,
        MlflowException,
        OSError,
    )


def _is_our_own_value_error(error: Exception) -> bool:
    """The steps refuse a wrong value with a plain ValueError; one from inside a library is a defect."""
    # The package, not the module: that of a step started by `python -m` is called __main__.
    packages = [str(frame.f_globals.get("__package__")) for frame, _ in walk_tb(error.__traceback__)]
    return isinstance(error, ValueError) and packages[-1].partition(".")[0] == "pipelines"
