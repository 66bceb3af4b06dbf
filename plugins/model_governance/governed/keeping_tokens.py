"""The part of the store that makes and withdraws programs' tokens, and knows who bears one."""

from __future__ import annotations

from collections.abc import Callable

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.utils.time import get_current_time_millis

from model_governance.governed import tokens
from model_governance.governed.deciding import Open
from model_governance.governed.keeping_roles import KeepingRoles
from model_governance.governed.roles import granted
from model_governance.governed.tokens import LONGEST_DAYS, Token
from model_governance.rules.governance import SERVICE_ROLES

__all__ = ["KeepingTokens"]

_LONGEST_PURPOSE = 256


class KeepingTokens(KeepingRoles):
    """Tokens are for programs alone: a review or a promotion is a person's word, who logs in."""

    def make_token(
        self, user: str, purpose: str, days: int = 90, *, is_person: Callable[[str], bool] = lambda _: False
    ) -> tuple[Token, str]:
        """A token of a program's log-in, for an admin; its text is told this once and kept nowhere.

        Parameters
        ----------
        purpose : str
            What it is for, so that somebody knows later what stops when it is withdrawn.
        days : int
            How long it works, 1 to 366.
        is_person : callable
            Whether MLflow calls a log-in an admin, and so a person.

        Returns
        -------
        Token
            What is known of it.
        str
            The token: ``MLFLOW_TRACKING_TOKEN`` of the program.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED where whoever asks is no admin, or the log-in is a person's;
            INVALID_PARAMETER_VALUE where the purpose or the days are none.
        """
        purpose = purpose.strip()
        if not purpose or len(purpose) > _LONGEST_PURPOSE:
            raise MlflowException(
                f"expected what the token is for, in at most {_LONGEST_PURPOSE} characters, got "
                f"{len(purpose) or 'nothing'}",
                INVALID_PARAMETER_VALUE,
            )
        if not 1 <= days <= LONGEST_DAYS:
            raise MlflowException(
                f"expected 1 to {LONGEST_DAYS} days for which the token works, got {days}", INVALID_PARAMETER_VALUE
            )

        def do(open_: Open) -> tuple[Token, str]:
            held = {each.role for each in granted(open_.session, self.rules, user)}
            if others := sorted(held - SERVICE_ROLES):
                open_.refuse(f"{user} is a person ({', '.join(others)}); a token is for a program's log-in")
            if is_person(user):
                open_.refuse(f"{user} is an admin, and so a person; a token is for a program's log-in")
            made = tokens.make(open_.session, user, purpose, open_.actor.name, days, open_.now)
            open_.tell(after=made[0].id, detail={"user": user, "purpose": purpose, "days": days})
            return made

        return self._asked("make token", "", do, subject=user, value=purpose)

    def withdraw_token(self, identity: str) -> None:
        """Let a token work no more, for an admin.

        Raises
        ------
        MlflowException
            RESOURCE_DOES_NOT_EXIST where none such works; PERMISSION_DENIED where whoever asks is no admin.
        """

        def do(open_: Open) -> None:
            users = tokens.withdraw(open_.session, open_.now, identity=identity)
            if not users:
                raise MlflowException(
                    f"there is no token {identity[:40]!r} that works; `model-governance tokens show` lists them",
                    RESOURCE_DOES_NOT_EXIST,
                )
            open_.tell(before=identity, detail={"user": users[0]})

        self._asked("withdraw token", "", do, subject=identity)

    def withdraw_tokens_of(self, user: str) -> None:
        """Let no token of a log-in work any more, because it may be another one's from now on."""

        def do(open_: Open) -> None:
            users = tokens.withdraw(open_.session, open_.now, user=user)
            open_.tell(detail={"user": user, "tokens": len(users)})

        with self.ManagedSessionMaker() as session:
            if not tokens.live(session, user, get_current_time_millis()):
                return
        self._asked("withdraw token", "", do, subject=user)

    def tokens(self, user: str | None = None) -> tuple[Token, ...]:
        """What is known of all tokens, or of one log-in's, the newest first."""
        with self.ManagedSessionMaker() as session:
            return tokens.kept(session, user)

    def bearer(self, text: str) -> str | None:
        """The program that bears a token; None where it does not work, or its log-in has become a person's."""
        user = tokens.holder(self.engine, text, get_current_time_millis())
        if user is None or {each.role for each in self.grants(user)} - SERVICE_ROLES:
            return None
        return user
