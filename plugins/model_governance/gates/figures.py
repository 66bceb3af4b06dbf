"""Gates on figures: bounds, slices, the champion, and what wrong figures cost."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from model_governance.evidence import Evidence, Measured
from model_governance.gates.judging import Case, Row, check, slices_of
from model_governance.gates.wording import listed, number
from model_governance.paired import paired_difference
from model_governance.rules import ChampionRule, CostRule, PairedTest, SliceRule, Threshold

__all__: list[str] = []


@check.register
def _(rule: Threshold, case: Case) -> Iterator[Row]:
    measured = case.evidence.metrics.get(rule.metric)
    passed = measured is not None and _within(measured.value, rule.min, rule.max)
    yield rule.metric, _bounds(rule.min, rule.max), number(measured), passed


@check.register
def _(rule: SliceRule, case: Case) -> Iterator[Row]:
    """One row where all slices pass; where some do not, one row for each of these."""
    names = slices_of(rule.metric, case.evidence)
    if not names:
        yield rule.metric, "at least one slice", "no metric has such a name; evaluate the model again", False
        return
    small, judged, failed = [], [], False
    for name in names:
        metric = rule.metric_of(name)
        counted = case.evidence.metrics.get(rule.samples_metric(metric))
        if counted is None or not isfinite(counted.value):
            failed = True
            yield metric, f"its number of samples as {rule.samples_metric(metric)}", "not measured", False
        elif counted.value < rule.min_samples:
            small.append(f"{name} ({counted.value:g})")
        else:
            judged.append(name)
            for expected, got, passed in _slice(rule, metric, case):
                if not passed:
                    failed = True
                    yield metric, expected, f"{got} ({counted.value:g} samples)", False
    if not judged and not failed:
        yield rule.metric, f"a slice of at least {rule.min_samples} samples", listed(small, "none"), False
    elif not failed:
        values = {name: case.evidence.metrics[rule.metric_of(name)].value for name in judged}
        # The worst first, since of many slices only the first are told.
        worst = 1 if rule.better == "higher" or (rule.better is None and rule.max is None) else -1
        order = sorted(values, key=lambda name: (worst * values[name], name))
        told = listed([f"{name} {values[name]:.4g}" for name in order], "")
        untold = f"; too few samples to judge: {listed(small, '')}" if small else ""
        yield rule.metric, _expected_of_slices(rule), f"{told}{untold}", True


@check.register
def _(rule: ChampionRule, case: Case) -> Iterator[Row]:
    gate = f"{rule.metric} against the champion"
    mine = case.evidence.metrics.get(rule.metric)
    if mine is None or not isfinite(mine.value):
        yield gate, "a measured value", number(mine), False
        return
    if case.champion is None:
        yield (
            gate,
            "no worse than the champion",
            f"{mine.value:.6g}; there is no other champion to compare with",
            True,
        )
        return
    theirs = case.champion.metrics.get(rule.metric)
    refusal = _incomparable(mine, theirs, same_data=rule.same_data)
    if refusal is not None or theirs is None:
        yield gate, *(refusal or ("a value of the champion", "none")), False
    elif rule.paired is not None:
        yield gate, *_paired(rule, rule.paired, case.evidence, case.champion)
    else:
        margin = rule.worse_by_at_most * (abs(theirs.value) if rule.relative else 1)
        yield gate, *_against(mine.value, theirs.value, rule.better, margin)


@check.register
def _(rule: CostRule, case: Case) -> Iterator[Row]:
    unit = f" {rule.unit}" if rule.unit else ""
    mine, missing = _cost(rule, case.evidence)
    if missing:
        yield rule.cost, "all its metrics measured", f"not measured: {', '.join(missing)}", False
        return
    if rule.max is not None:
        yield rule.cost, f"at most {rule.max:g}{unit}", f"{mine:.6g}{unit}", mine <= rule.max
    if rule.worse_by_at_most is None:
        return
    gate = f"{rule.cost} against the champion"
    if case.champion is None:
        yield (
            gate,
            "no worse than the champion",
            f"{mine:.6g}{unit}; there is no other champion to compare with",
            True,
        )
        return
    for term in rule.terms:
        ours, theirs = (each.metrics.get(term.metric) for each in (case.evidence, case.champion))
        refusal = _incomparable(ours, theirs, same_data=rule.same_data)
        if refusal is not None:
            yield gate, refusal[0], f"{term.metric}: {refusal[1]}", False
            return
    yield gate, *_against(mine, _cost(rule, case.champion)[0], "lower", rule.worse_by_at_most)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return isfinite(value) and (low is None or value >= low) and (high is None or value <= high)


def _bounds(low: float | None, high: float | None) -> str:
    bounds = []
    if low is not None:
        bounds.append(f"at least {low:g}")
    if high is not None:
        bounds.append(f"at most {high:g}")
    return " and ".join(bounds)


def _incomparable(mine: Measured | None, theirs: Measured | None, *, same_data: bool) -> tuple[str, str] | None:
    """Why a value cannot be held against the champion's: (expected, got)."""
    if theirs is None or not isfinite(theirs.value):
        got = f"champion: {number(theirs)}; evaluate the champion with this policy's metrics"
        return "a value of the champion to compare with", got
    ours = mine.dataset_digest if mine else None
    if same_data and (ours is None or ours != theirs.dataset_digest):
        return (
            "both measured on the same data",
            f"this on {ours or 'unrecorded data'}, the champion on "
            f"{theirs.dataset_digest or 'unrecorded data'}; evaluate both on one data set",
        )
    return None


def _against(mine: float, theirs: float, better: str, margin: float) -> tuple[str, str, bool]:
    if better == "higher":
        limit, word, passed = theirs - margin, "at least", mine >= theirs - margin
    else:
        limit, word, passed = theirs + margin, "at most", mine <= theirs + margin
    return f"{word} {limit:.6g} (champion {theirs:.6g})", f"{mine:.6g}", passed


def _slice(rule: SliceRule, metric: str, case: Case) -> Iterator[tuple[str, str, bool]]:
    """(expected, got, passed) of one slice that has samples enough."""
    measured = case.evidence.metrics.get(metric)
    if measured is None or not isfinite(measured.value):
        yield "a measured value", number(measured), False
        return
    if rule.min is not None or rule.max is not None:
        yield _bounds(rule.min, rule.max), number(measured), _within(measured.value, rule.min, rule.max)
    if rule.worse_by_at_most is None or case.champion is None:
        return
    theirs = case.champion.metrics.get(metric)
    refusal = _incomparable(measured, theirs, same_data=rule.same_data)
    if refusal is not None or theirs is None:
        yield *(refusal or ("", "")), False
    else:
        yield _against(measured.value, theirs.value, str(rule.better), rule.worse_by_at_most)


def _expected_of_slices(rule: SliceRule) -> str:
    bounds = [_bounds(rule.min, rule.max)] if rule.min is not None or rule.max is not None else []
    if rule.worse_by_at_most is not None:
        bounds.append(f"worse than the champion by {rule.worse_by_at_most:g} at most")
    return f"{' and '.join(bounds)} in each"


def _paired(rule: ChampionRule, test: PairedTest, mine: Evidence, champion: Evidence) -> tuple[str, str, bool]:
    """Expected, got, passed of a comparison sample by sample."""
    ours, theirs = (each.samples.get(test.columns) for each in (mine, champion))
    if ours is None or theirs is None or ours.problem or theirs.problem:
        who, samples = ("this", ours) if ours is None or ours.problem else ("the champion", theirs)
        problem = samples.problem if samples else f"no table {test.table}"
        return f"{test.value} of each sample", f"{who}: {problem}; evaluate it again", False
    apart = set(ours.keys) ^ set(theirs.keys)
    if rule.same_data and apart:
        got = f"{len(apart)} of {len(set(ours.keys) | set(theirs.keys))} samples are in one table alone"
        return "the same samples in both tables", f"{got}; evaluate both on one data set", False
    if not set(ours.keys) & set(theirs.keys):
        return "samples that both were measured on", "none", False
    found = paired_difference(ours, theirs, confidence=test.confidence, resamples=test.resamples, seed=test.seed)
    sign = -1.0 if rule.better == "higher" else 1.0
    # Harm: how much worse than the champion, whichever direction is the better one.
    worse, least, most = sign * found.difference, *sorted((sign * found.low, sign * found.high))
    margin = rule.worse_by_at_most * (abs(found.theirs) if rule.relative else 1)
    enough = found.units >= test.min_pairs
    told = (
        f"worse by {worse:+.4g} [{least:+.4g}, {most:+.4g}] over {found.pairs} pairs"
        + (f" in {found.units} groups" if test.group else "")
        + ("" if enough else f"; {test.min_pairs} are needed")
    )
    if test.refuse == "shown_worse":
        return (
            f"not shown to be worse by more than {margin:.4g} ({test.confidence:.0%})",
            told,
            enough and least <= margin,
        )
    return (
        f"shown to be worse by no more than {margin:.4g} ({test.confidence:.0%})",
        told,
        enough and most <= margin,
    )


def _cost(rule: CostRule, evidence: Evidence) -> tuple[float, list[str]]:
    """The cost, and the metrics that are missing for it."""
    found = {term.metric: evidence.metrics.get(term.metric) for term in rule.terms}
    missing = [name for name, each in found.items() if each is None or not isfinite(each.value)]
    values = [term.weight * each.value for term in rule.terms if (each := found[term.metric]) is not None]
    return sum(values), missing
