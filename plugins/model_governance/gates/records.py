"""Gates on what was written down: tags, parameters, data sets, documents, and how old the figures are."""

from __future__ import annotations

from collections.abc import Iterator

from model_governance.documents import Document, has_key
from model_governance.evidence import Measured
from model_governance.gates.judging import Case, Row, check, slices_of
from model_governance.gates.wording import days_since, listed, shortened
from model_governance.rules import DatasetRule, DocumentRule, FreshnessRule, ParamRule, TagRule

__all__: list[str] = []


@check.register
def _(rule: TagRule, case: Case) -> Iterator[Row]:
    yield _record(f"tag {rule.tag}", rule.equals, case.evidence.tags.get(rule.tag))


@check.register
def _(rule: ParamRule, case: Case) -> Iterator[Row]:
    yield _record(f"parameter {rule.param}", rule.equals, case.evidence.params.get(rule.param))


@check.register
def _(rule: DatasetRule, case: Case) -> Iterator[Row]:
    fitting = [data for data in case.evidence.datasets if rule.dataset in ("*", data.context) and data.digest]
    got = ", ".join(f"{data.name} ({data.digest})" for data in fitting)
    yield f"data {rule.dataset}", "a data set input with a digest", got or "none", bool(fitting)


@check.register
def _(rule: DocumentRule, case: Case) -> Iterator[Row]:
    gate = f"document {rule.document}"
    document = case.evidence.documents.get(rule.name)
    if document is None or document.problem:
        yield (
            gate,
            "a document that is there and can be read",
            document.problem if document else "not there",
            False,
        )
        return
    missing = _missing(rule, document, case)
    wanted = len(rule.headings) + len(rule.keys)
    yield (
        gate,
        f"complete: {wanted} headings and keys filled in" if wanted else "there",
        f"missing or empty: {listed(missing, '')}" if missing else f"complete, digest {document.sha256[:12]}",
        not missing,
    )


@check.register
def _(rule: FreshnessRule, case: Case) -> Iterator[Row]:
    if rule.unchanged_since_evaluation:
        mine = case.evidence.artifact.digest
        others = [(f" ({each.kind})", each.digest) for each in case.evidence.evaluations[1:]]
        for kind, evaluated in [("", case.evidence.evaluated_digest), *others]:
            yield (
                f"files unchanged since evaluation{kind}",
                f"digest {evaluated[:12]}" if evaluated else "a digest recorded by the evaluation",
                f"digest {mine[:12]}" if evaluated else "none recorded; evaluate the model again",
                mine == evaluated,
            )
        loose = [name for name in sorted(case.read_metrics) if _is_loose(case.evidence.metrics.get(name))]
        if loose:
            yield (
                "figures from evaluations",
                "every figure that a gate reads measured in a recorded evaluation",
                f"logged outside of one: {listed(loose, '')}; measure them inside evaluation_of",
                False,
            )
    times = [case.evidence.metrics[name].timestamp for name in case.read_metrics if name in case.evidence.metrics]
    if times:
        days = days_since(min(times), case.now)
        yield (
            "age of metrics",
            f"at most {rule.max_age_days:g} days",
            f"{days:.1f} days",
            # A time in the future is a wrong one, and would never grow old.
            days <= rule.max_age_days and days_since(max(times), case.now) >= -1,
        )
    else:
        yield "age of metrics", f"at most {rule.max_age_days:g} days", "no metric to date", False


def _is_loose(measured: Measured | None) -> bool:
    return measured is not None and measured.outside


def _missing(rule: DocumentRule, document: Document, case: Case) -> list[str]:
    """Headings and keys that are not there, or hold nothing."""
    missing = [f"# {heading}" for heading in rule.headings if heading.strip().lower() not in document.headings]
    names = slices_of(rule.each, case.evidence) if rule.each else []
    if rule.each and not names:
        missing.append(f"any metric {rule.each}")
    for key in rule.keys:
        parts = key.split(".")
        for name in names if "{each}" in parts else [""]:
            path = [name if part == "{each}" else part for part in parts]
            if not has_key(document, path):
                missing.append(".".join(path))
    return missing


def _record(gate: str, equals: str | None, value: str | None) -> Row:
    expected = repr(equals) if equals is not None else "any value"
    passed = bool(value) if equals is None else value == equals
    return gate, expected, shortened(value), passed
