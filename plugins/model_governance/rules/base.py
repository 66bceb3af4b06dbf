"""What all rules share: strict, frozen, and with a reason that a reviewer reads."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

__all__ = ["Area", "Reason", "Rule", "Strict"]

Area = Literal[
    "regulatory", "audit", "security", "privacy", "quality", "performance", "documentation", "governance"
]
"""What somebody answers for; the status of a version is told for each."""

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

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `max: yes` as true, which Python takes for 1; and a switch set to 0 may be meant as a bound.

        A field that holds a mapping or a list is looked at as a whole; its own fields look at themselves.
        """
        is_switch = cls.model_fields[str(info.field_name)].annotation is bool
        if isinstance(value, bool) and not is_switch:
            raise ValueError(
                f"expected anything but true or false, got {str(value).lower()} (YAML reads yes, no, on and off "
                "so); write the number, or the text in quotes"
            )
        if is_switch and not isinstance(value, bool):
            raise ValueError(f"expected true or false, got {value!r}")
        return value

    @model_serializer(mode="wrap")
    def _without_unused_additions(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        for name in frozenset().union(*(vars(each).get("added", ()) for each in type(self).__mro__)):
            if getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True):
                written.pop(name, None)
        return written


class Rule(Strict):
    """One thing that a version must show; the base of every kind of rule."""

    added: ClassVar[frozenset[str]] = frozenset({"areas"})

    reason: Reason
    areas: tuple[Area, ...] = Field(
        (), description="What the rule counts for in the status of a version; its section's area by default."
    )
