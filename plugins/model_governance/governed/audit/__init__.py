"""The audit log: who did what when, each entry bound to the one before it by a hash."""

from model_governance.governed.audit.chain import (
    GENESIS,
    Entry,
    Head,
    Verification,
    append,
    lock,
    read_head,
    verify,
)

__all__ = ["GENESIS", "Entry", "Head", "Verification", "append", "lock", "read_head", "verify"]
