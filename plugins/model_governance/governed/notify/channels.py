"""What carries a message: the seam between the sender and mail, webhooks, and what may come."""

from __future__ import annotations

from abc import ABC, abstractmethod

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
    final : bool
        Whether the others never will: it is not tried again.
    """

    def __init__(
        self, text: str, *, unreachable: bool = False, had: tuple[str, ...] = (), final: bool = False
    ) -> None:
        super().__init__(text)
        self.unreachable, self.had, self.final = unreachable, had, final


class Carrier(ABC):
    """Takes messages one way."""

    @abstractmethod
    def carry(self, message: Message, without: frozenset[str] = frozenset()) -> None:
        """Deliver a message, or raise `CarryError`.

        Parameters
        ----------
        without : frozenset of str
            Recipients who got it already.
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
