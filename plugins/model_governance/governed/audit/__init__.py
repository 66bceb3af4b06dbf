"""The audit log: who did what when, each entry bound to the one before it by a hash."""

from model_governance.governed.audit.chain import append, lock, read_head
from model_governance.governed.audit.entry import GENESIS, Entry, Head
from model_governance.governed.audit.reading import Record, export, records, verify_export
from model_governance.governed.audit.verification import Verification, verify

__all__ = [
    "GENESIS",
    "Entry",
    "Head",
    "Record",
    "Verification",
    "append",
    "export",
    "lock",
    "read_head",
    "records",
    "verify",
    "verify_export",
]
