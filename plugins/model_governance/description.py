"""The description of a version: what a reviewer reads in the MLflow UI before saying yes or no."""

from __future__ import annotations

from collections.abc import Sequence

from model_governance.evidence import Evidence
from model_governance.gates import GateResult, Verdict
from model_governance.markdown_text import as_code, as_text

__all__ = ["LIMIT", "describe", "with_words"]

_GLANCE = {
    "slices": "Slices",
    "champion": "Champion",
    "business": "Cost",
    "risk": "Risk",
    "acceptance": "Signed",
}

LIMIT = 5000
"""Characters that MLflow's registry keeps of a description."""

_WORDS = "\n\n## What whoever registered it wrote\n\n"


def describe(
    name: str,
    semantic_version: str,
    evidence: Evidence,
    verdict: Verdict,
    champion: Evidence | None,
    champion_version: str | None,
    bundle: str,
    review: str | None = None,
) -> str:
    """Markdown of fewer than 5,000 characters: verdict, figures beside the champion's, data, code, how to try.

    Where it would be longer, rows of the tables are left out, those of passed gates first, and it says how many.

    Parameters
    ----------
    review : str, optional
        Address of the page where a reviewer decides, where there is one.
    """
    for rows in (40, 25, 15, 8, 4, 1):
        text = _write(name, semantic_version, evidence, verdict, champion, champion_version, bundle, review, rows)
        if len(text) < LIMIT:
            return text
    return text[: LIMIT - 4] + "\n…"


def with_words(text: str, present: str | None) -> str:
    """The description, and below it what somebody wrote before the version was judged, as plain text.

    Parameters
    ----------
    text : str
        What `describe` gives.
    present : str or None
        What the version's description is by now; of one that was judged before, these words stand at its end.

    Examples
    --------
    >>> told = with_words("# iris 1.0.0", "trained on *May*")
    >>> print(told)
    # iris 1.0.0
    <BLANKLINE>
    ## What whoever registered it wrote
    <BLANKLINE>
    > trained on \\*May\\*
    >>> with_words("# iris 1.0.1", told) == told.replace("1.0.0", "1.0.1")
    True
    """
    if not (present or "").strip():
        return text
    present = str(present)
    if _WORDS in present:
        quoted = present.split(_WORDS, 1)[1]
    elif present.startswith("# ") and "\n## Gates\n" in present:
        return text  # of an earlier judgement, and of nobody else
    else:
        quoted = "\n>\n".join(f"> {as_text(line)}" for line in present.splitlines() if line.strip())
    room = LIMIT - 1 - len(text) - len(_WORDS)
    if room < 80:
        return text
    return text + _WORDS + (quoted if len(quoted) <= room else f"{quoted[: room - 1]}…")


def _write(
    name: str,
    semantic_version: str,
    evidence: Evidence,
    verdict: Verdict,
    champion: Evidence | None,
    champion_version: str | None,
    bundle: str,
    review: str | None,
    rows: int,
) -> str:
    against = f"champion (version {champion_version})" if champion else "champion (none yet)"
    ordered = [*verdict.failures, *(row for row in verdict.rows if row.passed)]
    data = [
        f"{_cell(item.context or 'input')}: {_cell(item.name)} `{as_code(item.digest, 80)}`"
        for item in evidence.datasets
    ]
    dirty = evidence.tags.get("lineage.git_dirty") == "true"
    return "\n".join(
        [
            f"# {as_text(name)} {semantic_version}",
            "",
            _headline(verdict),
            "",
            *([f"[Review this version beside the champion]({review})", ""] if review else []),
            *[
                f"- **{_cell(row.gate)}**: {_cell(row.got)}; expected {_cell(row.expected)} ({_cell(row.reason)})"
                for row in verdict.failures[:rows]
            ],
            *([""] if verdict.failures else []),
            *_section("At a glance", [*_glance(verdict)[:rows], *_signed(evidence)[:rows]]),
            "## Gates",
            "",
            *_table(
                ("", "gate", "expected", "got"),
                [("passed" if row.passed else "FAILED", row.gate, row.expected, row.got) for row in ordered],
                rows,
            ),
            "",
            "## Figures",
            "",
            *_table(("metric", "this version", against), _figures(evidence, champion, verdict.rows), rows),
            "",
            "## Made of",
            "",
            f"- Data: {'; '.join(data[:5]) or 'no input recorded'}",
            f"- Code: commit `{as_code(evidence.git_commit or 'not recorded', 160)}`"
            + (", with uncommitted changes" if dirty else ""),
            f"- Run: `{evidence.run_id}`; files `{evidence.artifact.digest[:16]}`, "
            f"{evidence.artifact.size / 1e6:.2f} MB in {len(evidence.artifact.files)} files",
            f"- Evidence, policy, verdict and bill of materials in full: artifacts of the run under `{bundle}`",
            "",
            "## Try it",
            "",
            "```",
            f"mlflow models serve -m {as_code(evidence.model_uri)}",
            "```",
        ]
    )


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []


def _glance(verdict: Verdict) -> list[str]:
    """Slices, the champion, cost, risk and sign-offs: what a reviewer asks first, in words of the gates."""
    lines = []
    for section, title in _GLANCE.items():
        rows = [row for row in verdict.rows if row.section == section and not _without_rival(row, verdict)]
        lines += [
            f"- {title}: {_cell(row.gate)}: {_cell(row.got)}{'' if row.passed else ' **(failed)**'}"
            for row in rows
        ]
    return lines


def _without_rival(row: GateResult, verdict: Verdict) -> bool:
    """Against a champion that there is not: passed, and no news."""
    return row.passed and verdict.champion_digest is None and row.gate.endswith("against the champion")


def _signed(evidence: Evidence) -> list[str]:
    """Who signed for what, the latest first."""
    return [
        f"- {_cell(each.by)} {each.verdict} {_cell(each.artifact or f'the mitigation {each.mitigation}')} on "
        f"{each.at:%Y-%m-%d}: {_cell(each.comment)}"
        for each in reversed(evidence.signatures)
    ]


def _headline(verdict: Verdict) -> str:
    total, failed = len(verdict.rows), len(verdict.failures)
    if verdict.passed:
        return f"**Passed all {total} gates.** What reviewers said stands in this version's tags."
    return f"**Failed {failed} of {total} gates.** Cannot be promoted."


def _figures(
    evidence: Evidence, champion: Evidence | None, gates: Sequence[GateResult]
) -> list[tuple[str, str, str]]:
    """Metrics that a gate reads come first; the others follow by name."""
    gated = {row.gate.removesuffix(" against the champion") for row in gates}
    names = sorted(evidence.metrics, key=lambda metric: (metric not in gated, metric))
    table = []
    for metric in names:
        theirs = champion.metrics.get(metric) if champion else None
        table.append((metric, f"{evidence.metrics[metric].value:.4g}", f"{theirs.value:.4g}" if theirs else "–"))
    return table


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], limit: int) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows[:limit]]
    if len(rows) > limit:
        lines += ["", f"({len(rows) - limit} more in the evidence)"]
    return lines


def _cell(text: str) -> str:
    """Text that can neither break the table it stands in, nor fill it, nor become anything else than text."""
    return as_text(text, 160)
