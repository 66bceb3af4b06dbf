"""A new MLflow database without the second of migrations that each one takes: made once a process, then copied."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

__all__ = ["empty_store"]


def empty_store(folder: Path) -> str:
    """Lay ``mlflow.db`` into `folder`, with MLflow's tables and nothing in them; gives its URI.

    What lies there already stays as it is. MLflow adds its default experiment when the store is first opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mlflow.db"
    if not path.exists():
        path.write_bytes(_tables())
    return f"sqlite:///{path}"


@cache
def _tables() -> bytes:
    from mlflow.store.db.utils import _initialize_tables
    from sqlalchemy import create_engine

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        engine = create_engine(f"sqlite:///{path}")
        _initialize_tables(engine)  # what a store does that finds none
        engine.dispose()
        return path.read_bytes()
