"""What carries a message: the seam between the sender and mail, webhooks, and what may come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from model_governance.governed.notify.outbox import Message

__all__ = ["Carrier", "CarryError", "printable"]


class CarryError(OSError):
    """A message that was not delivered, or not to everybody; says where it went and why.

    Attributes
    ----------
    unreachable : bool
        Whether nothing else gets through either for now.
    had : tuple of str
        Recipients who got it.
    never : mapping of str to str
        Recipients who were refused for good, and in which words.
    final : bool
        Whether nobody is left to whom it could be delivered later.
    """

    def __init__(
        self,
        text: str,
        *,
        unreachable: bool = False,
        had: tuple[str, ...] = (),
        never: Mapping[str, str] | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(text)
        self.unreachable, self.had, self.never, self.final = unreachable, had, dict(never or {}), final


class Carrier(ABC):
    """Takes messages one way."""

    @abstractmethod
    def carry(self, message: Message, without: frozenset[str] = frozenset()) -> None:
        """Deliver a message, or raise `CarryError`.

        Parameters
        ----------
        without : frozenset of str
            Recipients who got it already, or never will.
        """


def printable(text: str, longest: int) -> str:
    """One line without control characters: what somebody typed into a comment steers neither mail nor terminal.

    Examples
    --------
    >>> printable("fine\\r\\nBcc: eve@example.org", 60)
    'fine Bcc: eve@example.org'
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
