"""What MLflow calls for a governed registry's address.

MLflow loads this for whatever registry it opens, so the store itself is imported only where one is governed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_governance.governed.store import GovernedStore

__all__ = ["open_store"]


def open_store(store_uri: str) -> GovernedStore:
    """The store at ``governed+sqlite://...`` or ``governed+postgresql://...``.

    Raises
    ------
    ModuleNotFoundError
        Where the packages of the extra `governed` are not installed.
    """
    from model_governance.governed.store import GovernedStore

    return GovernedStore(store_uri)
