"""What all rules share: strict, frozen, and with a reason that a reviewer reads."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

__all__ = ["Reason", "Rule", "Strict"]

Reason = Annotated[
    str, Field(min_length=3, description="Why this rule is there; a reviewer reads it beside a failed gate.")
]


class Strict(BaseModel):
    """Frozen, without unknown keys, and finite numbers alone.

    Attributes
    ----------
    added : frozenset of str
        Fields that came after format version 1 was first written. They are left out where they hold their default,
        so that a policy, and the evidence of a version, keep the digest under which they were registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    added: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unused_additions(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        for name in self.added:
            if getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True):
                written.pop(name, None)
        return written


class Rule(Strict):
    """One thing that a version must show; the base of every kind of rule."""

    reason: Reason
