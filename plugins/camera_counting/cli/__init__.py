"""The console script `camera-counting`.

Each subcommand lives in a module of its own that is imported when the subcommand is called, so that
``camera-counting --help`` answers at once. What a user can put right is told in one sentence, with exit code 2.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import click

from camera_counting.errors import CountingError

__all__ = ["main"]

# Nothing is sent to anybody, unless the user says otherwise: MLflow and others read these when they are imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")

# name -> (module, function, one line for the help). One more command is one more line.
_COMMANDS = {
    "count": ("camera_counting.cli.count", "count", "Count on pictures, folders and clips."),
    "import": ("camera_counting.cli.import_", "import_", "Turn a detector file into a logged MLflow model."),
    "migrate": ("camera_counting.cli.migrate", "migrate", "Write a model of an older format in the newest."),
    "draw": ("camera_counting.cli.draw", "draw", "Draw a scene's lines and zones on a frame."),
    "doctor": ("camera_counting.cli.doctor", "doctor", "Show what this machine can run."),
}


class _Commands(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, function, _ = _COMMANDS[name]
        command = getattr(importlib.import_module(module), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{function} is no click command")
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        # click would import every subcommand to read its help
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except CountingError as error:
            raise _OneSentence(str(error)) from error
        except BrokenPipeError:
            raise  # whoever read the output has gone; click ends the program
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            raise _OneSentence(reason) from error
        except Exception as error:
            # mlflow is not imported for its exception's sake: where it was never imported, it raised nothing
            if type(error).__module__.startswith("mlflow."):
                raise _OneSentence(str(error)) from error
            raise


class _OneSentence(click.ClickException):
    exit_code = 2


@click.command(cls=_Commands)
@click.version_option(package_name="mlflow-camera-counting", prog_name="camera-counting")
def main() -> None:
    """Count people and vehicles on pictures and clips."""
