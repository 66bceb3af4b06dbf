"""The part of the store that gives and takes roles, and takes them from log-ins that change hands."""

from __future__ import annotations

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.time import get_current_time_millis

from model_governance.governed import roles, tokens
from model_governance.governed.actor import Actor, current_actor
from model_governance.governed.audit.chain import Entry, append
from model_governance.governed.deciding import Deciding, Open
from model_governance.rules.governance import SERVICE_ROLES, clash

__all__ = ["KeepingRoles"]


class KeepingRoles(Deciding):
    """Who is what, asked and changed in the registry's own transactions."""

    def roles_of(self, actor: Actor) -> frozenset[str]:
        """Everything that somebody is on this server."""
        with self.ManagedSessionMaker() as session:
            return roles.roles_of(session, self.rules, actor)

    def grants(self, user: str | None = None) -> tuple[roles.Grant, ...]:
        """Who has which role, by whom and since when; by log-in and role."""
        with self.ManagedSessionMaker() as session:
            return roles.granted(session, self.rules, user)

    def grant(self, user: str, role: str) -> None:
        """Give somebody a role; an admin does, and never to themselves."""
        self._change_role(user, role, give=True)

    def withdraw(self, user: str, role: str) -> None:
        """Take a role from somebody; an admin does."""
        self._change_role(user, role, give=False)

    def password_set(self, user: str) -> None:
        """Write down that whoever asks sets the password of somebody else's log-in."""
        with self.transactions.writing() as session:
            roles.password_set(session, user, current_actor().name, get_current_time_millis())

    def hand_over(self, user: str, *, suspend: bool) -> None:
        """Take every role from a log-in that whoever asks made, deleted, or set the password of; see `roles`."""
        actor, now = current_actor(), get_current_time_millis()
        with self.transactions.writing() as session:
            present = frozenset(each.role for each in roles.granted(session, self.rules, user))
            roles.hand_over(session, user, actor.name, now, suspend=suspend)
            left = frozenset(each.role for each in roles.granted(session, self.rules, user))
            if present != left:
                why = "another person may have this log-in now; an admin gives the roles again"
                before, after = (", ".join(sorted(each)) or None for each in (present, left))
                append(
                    session,
                    Entry(
                        actor, "withdraw role", before=before, after=after, at=now,
                        detail={"user": user, "why": why},
                    ),
                )  # fmt: skip

    def _change_role(self, user: str, role: str, *, give: bool) -> None:
        if not user.strip() or len(user) > 255:
            raise MlflowException(f"expected a log-in, got {user[:300]!r}", INVALID_PARAMETER_VALUE)
        try:
            known_role = roles.known_role(role)
        except ValueError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error

        def do(open_: Open) -> None:
            present = frozenset(each.role for each in roles.granted(open_.session, self.rules, user))
            if give:
                if why := clash({*present, role}):
                    open_.refuse(why)
                if role not in SERVICE_ROLES and tokens.live(open_.session, user, open_.now):
                    open_.refuse(
                        f"{user} is a program: it has a token; make another log-in for the person, or withdraw it"
                    )
                roles.grant(open_.session, user, known_role, open_.actor.name, open_.now)
            elif not roles.withdraw(open_.session, user, known_role) and role in present:
                open_.refuse(f"the policy's file gives {user} the role {role}; take it from there")
            after = frozenset(each.role for each in roles.granted(open_.session, self.rules, user))
            open_.tell(
                before=", ".join(sorted(present)) or None,
                after=", ".join(sorted(after)) or None,
                detail={"user": user, "role": role},
            )

        self._asked("grant" if give else "withdraw role", "", do, subject=user, value=role if give else None)
