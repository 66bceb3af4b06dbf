"""Gates on the model's own files, and on known vulnerabilities of the packages that serve it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date
from fnmatch import fnmatchcase

from model_governance.advisories import Finding
from model_governance.gates.judging import Case, Row, check
from model_governance.gates.wording import days_since, listed
from model_governance.rules import AdvisoryRule, ArtifactRule

__all__: list[str] = []


@check.register
def _(rule: ArtifactRule, case: Case) -> Iterator[Row]:
    files = case.evidence.artifact.files
    strange = [
        file.path
        for file in files
        if not any(fnmatchcase(file.path.rsplit("/", 1)[-1], pattern) for pattern in rule.allowed_files)
    ]
    allowed = f"only {listed(list(rule.allowed_files), '')}"
    yield "file types", allowed, listed(strange, f"{len(files)} files, all allowed"), not strange
    if rule.forbid_pickle:
        pickles = [file.path for file in files if file.pickle]
        yield "no pickle", "no pickle", listed(pickles, "none"), not pickles
    size = case.evidence.artifact.size / 1e6
    yield "size", f"at most {rule.max_size_mb:g} MB", f"{size:.3g} MB", size <= rule.max_size_mb


@check.register
def _(rule: AdvisoryRule, case: Case) -> Iterator[Row]:
    audit, pins = case.evidence.audits.get(rule.advisories), case.evidence.requirements
    if audit is None or pins is None:
        why = "no requirements.txt and no conda.yaml in the model" if audit else "never looked up; register again"
        yield "known vulnerabilities", "the model's packages looked up", why, False
        return
    yield (
        "packages pinned",
        "an exact version of each package",
        listed(list(audit.unknown), f"{len(pins)} packages, all pinned"),
        not audit.unknown,
    )
    age = days_since(audit.newest, case.now)
    yield (
        "age of advisories",
        f"at most {rule.max_age_days:g} days",
        f"{age:.1f} days (newest of {audit.records} records)"
        if age >= -1
        else "modified in the future: a wrong date",
        -1 <= age <= rule.max_age_days,
    )
    excused = {each.id.upper(): each.until for each in rule.ignore}
    today = case.now.astimezone(UTC).date()
    open_ones = [each for each in audit.findings if not _is_excused(each, excused, today)]
    let_pass = len(audit.findings) - len(open_ones)
    yield (
        "known vulnerabilities",
        "none" if not rule.ignore else f"none but {', '.join(each.id for each in rule.ignore)}",
        listed([_told(each) for each in open_ones], f"none in {len(pins)} packages, {let_pass} let pass"),
        not open_ones,
    )


def _is_excused(finding: Finding, excused: dict[str, date], today: date) -> bool:
    names = {finding.id.upper(), *(alias.upper() for alias in finding.aliases)}
    return any(today <= excused[name] for name in names & excused.keys())


def _told(finding: Finding) -> str:
    cure = f", fixed in {finding.fixed[-1]}" if finding.fixed else ", no fix known"
    return f"{finding.package} {finding.version}: {finding.id}{cure}"
