"""Who may move what on a governed server, and what a move takes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, Field, model_validator

from model_governance.rules.base import Reason, Strict

__all__ = [
    "SERVICE_ROLES",
    "Approvals",
    "Freeze",
    "GovernanceRules",
    "Moves",
    "Reads",
    "Role",
    "Trust",
    "WeeklyFreeze",
    "clash",
]

Role = Literal["data_scientist", "reviewer", "operator", "auditor", "admin", "validator", "rollout", "break_glass"]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKLY = rf"^({'|'.join(_DAYS)}) ([01]\d|2[0-3]):[0-5]\d$"


SERVICE_ROLES: frozenset[str] = frozenset({"validator", "rollout"})
"""Roles of programs. One log-in is a person or a program: evidence is not recorded by whoever judges it."""


def clash(roles: Iterable[str]) -> str:
    """Why one log-in cannot be all of this; empty where it can."""
    service, other = sorted(set(roles) & SERVICE_ROLES), sorted(set(roles) - SERVICE_ROLES)
    if not service or not other:
        return ""
    return (
        f"one log-in is a program ({', '.join(service)}) or a person ({', '.join(other)}); make a log-in for each"
    )


class Approvals(Strict):
    """How many persons must say yes before a version may become the champion."""

    count: int = Field(1, ge=0, le=20, description="How many; each is another person than whoever made the model.")
    roles: tuple[Role, ...] = Field(("reviewer",), min_length=1, description="Roles whose yes counts.")
    max_age_days: float = Field(30, gt=0, description="Oldest age of a yes that counts, in days.")


class Trust(Strict):
    """Whose evidence counts, and for how long."""

    required: bool = Field(
        True, description="A version needs evidence that its gates passed; false for a registry without gates."
    )
    roles: tuple[Role, ...] = Field(("validator",), min_length=1, description="Roles whose evidence counts.")
    measured_by: tuple[Role, ...] = Field(
        ("validator",),
        description="Roles whose log-in must have recorded every evaluation that the evidence rests on, so that "
        "nobody measures their own model; with an empty list anybody may.",
    )
    max_age_days: float = Field(30, gt=0, description="Oldest age of evidence that counts, in days.")


class Reads(Strict):
    """How long the server keeps who took which file of a model; the audit log is kept for good."""

    keep_days: float = Field(
        400, gt=0, le=36500, description="Days after which a record of a read is removed; the audit never is."
    )


class Moves(Strict):
    """Which roles may do what; MLflow's own permissions are asked as well."""

    registration: tuple[Role, ...] = Field(
        ("data_scientist", "validator"),
        description="Register models and versions, set tags and aliases that are not protected.",
    )
    staging: tuple[Role, ...] = Field(
        ("data_scientist", "reviewer", "validator"),
        description="Make a version the challenger (stage Staging), or take that back.",
    )
    production: tuple[Role, ...] = Field(
        ("reviewer", "operator"), description="Make an approved version the champion (stage Production)."
    )
    archive: tuple[Role, ...] = Field(
        ("data_scientist", "reviewer", "operator"), description="Archive a version that is not in use."
    )
    rollback: tuple[Role, ...] = Field(
        ("operator",), description="Go back to the champion before this one at once, with a reason."
    )
    delete: tuple[Role, ...] = Field(
        ("data_scientist", "validator", "operator"),
        description="Delete what nobody decided on; whoever is no operator, only what they registered themselves.",
    )
    rename: tuple[Role, ...] = Field(("operator",), description="Rename a model that never served.")


class Freeze(Strict):
    """A time in which nothing goes to Production; rollback and break-glass stay possible."""

    begins: AwareDatetime = Field(description="First moment, with its offset from UTC.")
    ends: AwareDatetime = Field(description="First moment after it.")
    reason: Reason

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.ends <= self.begins:
            raise ValueError(f"it ends at {self.ends}, not after it begins at {self.begins}")
        return self

    def holds(self, now: datetime) -> bool:
        """Whether it is frozen now; `now` has a time zone."""
        return self.begins <= now < self.ends


class WeeklyFreeze(Strict):
    """The same hours of each week, in which nothing goes to Production."""

    begins: str = Field(pattern=_WEEKLY, description="Day and time, such as `friday 15:00`.")
    ends: str = Field(pattern=_WEEKLY, description="Day and time of the first moment after it; may be next week.")
    zone: str = Field("UTC", description="Time zone of both, such as `Europe/Berlin`.")
    reason: Reason

    @model_validator(mode="after")
    def _a_time_that_is(self) -> Self:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"there is no time zone {self.zone!r}; expected one such as Europe/Berlin") from error
        if self.begins == self.ends:
            raise ValueError(f"it ends when it begins, {self.begins}; it would hold always or never")
        return self

    def holds(self, now: datetime) -> bool:
        """Whether it is frozen now; `now` has a time zone.

        Examples
        --------
        >>> from datetime import UTC
        >>> weekend = WeeklyFreeze(begins="friday 15:00", ends="monday 07:00", reason="nobody is there")
        >>> [weekend.holds(datetime(2026, 11, day, 8, tzinfo=UTC)) for day in (20, 21, 23)]
        [False, True, False]
        """
        local = now.astimezone(ZoneInfo(self.zone))
        minute = (local.weekday() * 24 + local.hour) * 60 + local.minute
        begins, ends = _minute(self.begins), _minute(self.ends)
        return begins <= minute < ends if begins < ends else minute >= begins or minute < ends


def _minute(moment: str) -> int:
    """Minutes since Monday, 00:00."""
    day, time = moment.split()
    hour, minute = time.split(":")
    return (_DAYS.index(day) * 24 + int(hour)) * 60 + int(minute)


def _plain(name: str) -> str:
    """A name in small letters of the usual width."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


class GovernanceRules(Strict):
    """What a governed server enforces; its defaults are strict."""

    enforce: bool = Field(True, description="false lets everything pass and still writes it to the audit log.")
    moves: Moves = Field(default=Moves(), description="Which roles may do what.")
    approvals: Approvals = Field(default=Approvals(), description="What a promotion needs of persons.")
    four_eyes: bool = Field(
        True,
        description="Whoever registered, logged or trained a model neither approves nor promotes it, by the "
        "log-ins that the server recorded; who that was must be known.",
    )
    evidence: Trust = Field(default=Trust(), description="What a promotion needs of evidence.")
    reads: Reads = Field(default=Reads(), description="How long records of reads are kept.")
    locations: tuple[str, ...] = Field(
        (),
        description="Where files of a version that may serve lie, as shell patterns such as s3://models/*, so "
        "that nobody writes them past the server; below the server's own --artifacts-destination by default.",
    )
    freezes: tuple[Freeze, ...] = Field((), description="Times in which nothing is promoted.")
    weekly_freezes: tuple[WeeklyFreeze, ...] = Field((), description="Hours of each week in which nothing is.")
    protected_aliases: tuple[str, ...] = Field(
        (),
        description="Further aliases, as shell patterns, that only a version which may be the champion carries; "
        "champion, previous, challenger and serving always are protected.",
    )
    protected_tags: tuple[str, ...] = Field(
        (), description="Further tags of versions, as shell patterns, that only those who record evidence write."
    )
    accounts: dict[str, tuple[Role, ...]] = Field(
        default_factory=dict, description="Roles by log-in, beside those that an admin grants on the server."
    )
    persons: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Several log-ins of one person, by the person's name: together they are one pair of eyes.",
    )

    @model_validator(mode="after")
    def _one_person_each(self) -> Self:
        accounts = [_plain(account) for several in self.persons.values() for account in several]
        if len(set(accounts)) != len(accounts):
            raise ValueError("a log-in belongs to two persons; give it to one")
        return self

    @model_validator(mode="after")
    def _a_person_or_a_program(self) -> Self:
        for account, roles in self.accounts.items():
            if why := clash(roles):
                raise ValueError(f"{account}: {why}")
        return self

    def person(self, account: str) -> str:
        """Who is behind a log-in: the person's name, or the log-in itself in small letters.

        Examples
        --------
        >>> rules = GovernanceRules(persons={"Ann Lee": ("ann", "ann-laptop")})
        >>> rules.person("ann-laptop") == rules.person("Ann")
        True
        >>> rules.person("rita"), rules.person("\uff32ita")
        ('rita', 'rita')
        """
        wanted = _plain(account)
        for person, accounts in self.persons.items():
            if wanted in {_plain(each) for each in (*accounts, person)}:
                return _plain(person)
        return wanted
