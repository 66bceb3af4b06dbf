"""The command line ``model-governance``."""

from model_governance.cli.commands import main

__all__ = ["main"]
