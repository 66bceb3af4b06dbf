"""Whether a candidate is kept: it gains what it is made for, and counts hardly worse than what it was made of."""

from __future__ import annotations

from dataclasses import dataclass

from model_governance.policy import OptimisationRule
from pipelines.optimisation.recipes import Recipe
from pipelines.optimisation.timing import Latency

__all__ = ["Figures", "Verdict", "judge"]

# Half precision changes nothing that a CPU computes; what is slower by more than this is slower in truth.
_AS_FAST = 1.1


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of the model or of a candidate.

    Parameters
    ----------
    confidence : float
        From which score on a detection counts.
    bytes : int
        Of the detector's files.
    latency : Latency
    errors : dict
        Count errors on the validation split.
    """

    confidence: float
    bytes: int
    latency: Latency
    errors: dict[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a candidate is refused; accepted where nothing speaks against it.

    Parameters
    ----------
    before, after, difference : float
        Of the count error that the policy names; above zero is worse.
    refusals : tuple of str
    """

    before: float
    after: float
    difference: float
    refusals: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.refusals


def judge(recipe: Recipe, model: Figures, candidate: Figures, rule: OptimisationRule, *, keep: bool) -> Verdict:
    """Hold a candidate against the model.

    Parameters
    ----------
    keep : bool
        Also keep what gains nothing; what counts worse than the policy allows is refused in any case.
    """
    before, after = model.errors[rule.metric], candidate.errors[rule.metric]
    worse = after - before
    refusals = []
    # a sum of floats may miss the margin by its last digit
    if worse > rule.worse_by_at_most + 1e-9:
        refusals.append(
            f"{rule.metric} on the validation split went from {before:.4g} to {after:.4g}: {worse:.4g} worse, "
            f"the policy allows {rule.worse_by_at_most:g} ({rule.reason}); that is "
            f"{worse - rule.worse_by_at_most:.4g} too much"
        )
    if not keep and (nothing := _gains_nothing(recipe, model, candidate, before, after, rule.metric)):
        refusals.append(f"{nothing}; --keep true keeps it nevertheless")
    return Verdict(before, after, worse, tuple(refusals))


def _gains_nothing(
    recipe: Recipe, model: Figures, candidate: Figures, before: float, after: float, metric: str
) -> str | None:
    latency = candidate.latency
    if recipe.gain == "latency" and latency.ratio_high >= 1:
        return (
            f"it is not faster: {latency.ratio:.2f} times the model's time, {latency.ratio_low:.2f} to "
            f"{latency.ratio_high:.2f} with 95 % confidence"
        )
    if recipe.gain == "size" and candidate.bytes >= model.bytes:
        return f"it is not smaller: {candidate.bytes} bytes, the model has {model.bytes}"
    if recipe.gain == "size" and latency.ratio_low > _AS_FAST:
        return f"it is smaller, but slower: {latency.ratio:.2f} times the model's time"
    if recipe.gain == "count error" and after >= before:
        return (
            f"another threshold counts no better: {metric} {after:.4g} at one that other pictures gave, "
            f"{before:.4g} at the model's own {model.confidence:g}"
        )
    return None
