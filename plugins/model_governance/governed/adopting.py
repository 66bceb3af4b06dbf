"""Saying which version is in Production where the registry itself says two things."""

from __future__ import annotations

from mlflow.utils.validation import _validate_model_version

from model_governance.governed.deciding import Open
from model_governance.governed.moves import contradiction
from model_governance.governed.moving import Moving, fitting, move_of
from model_governance.stages import ARCHIVED, NONE, PRODUCTION
from model_governance.standing import Standing

__all__ = ["Adopting"]


class Adopting(Moving):
    """The part of the store that takes over a registry from before the gate, or one that was changed past it."""

    def adopt(self, name: str, version: str | int, reason: str) -> Standing:
        """Say which version is in Production where stages and aliases contradict each other, or what was decided.

        So a registry from before the gate, or one that was changed past it, comes into step: nothing new is put
        into use, and of what else stands in Production nothing stays there.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED with everything that is missing.
        """
        number, reason = str(_validate_model_version(version)), fitting(reason)

        def do(open_: Open) -> Standing:
            why, candidates = contradiction(open_.session, name)
            if not why:
                open_.refuse("stages and aliases say the same; promote a version, or roll back")
            if number not in candidates:
                open_.refuse(
                    f"version {number} is not in Production in any way; what may be meant: "
                    f"{', '.join(candidates) or 'none'}"
                )
            former = tuple(each for each in open_.facts.standing.former() if each != number)
            standing = Standing(
                champion=number,
                previous=former[-1] if former else None,
                earlier=former[:-1],
                challenger=None if open_.facts.standing.challenger == number else open_.facts.standing.challenger,
                last=move_of("adopted", number, open_, reason),
            )
            open_.tell(detail={"contradiction": why})
            # what the way back to it will be held against
            marks = {number: {"promoted_files": open_.facts.files}} if open_.facts.files else {}
            done = self._stand(open_, standing, marks)
            for each in candidates:
                row = self._row(open_.session, name, each)
                if each != number and row.current_stage == NONE:
                    row.current_stage, row.last_updated_time = ARCHIVED, open_.now  # it was in use once
            return done

        return self._asked("adopt", name, do, number, value=PRODUCTION, comment=reason)
