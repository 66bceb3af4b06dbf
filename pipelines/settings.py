"""Settings of a pipeline step: one frozen, strict Pydantic model per step that is also its command line."""

from __future__ import annotations

from typing import Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

__all__ = ["StepSettings"]


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
        return cls(_cli_parse_args=True if arguments is None else arguments)
