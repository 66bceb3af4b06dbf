"""Known vulnerabilities of the packages that serve a model, from OSV records in a file: no network is asked.

The records' format and how a version is matched follow the OSV schema 1.7 (https://ossf.github.io/osv-schema/,
section "Evaluation"), for the ecosystem PyPI, whose versions compare by PEP 440.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from io import FileIO
from pathlib import Path
from typing import IO, Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from model_governance.errors import PolicyError
from model_governance.requirements import Pin

__all__ = ["Audit", "Finding", "affects", "audit"]

# Many times what osv.dev knows of PyPI; a few kilobytes can be packed so that they unpack to more.
_MOST_FILES = 500_000
_LARGEST_FILE = 256_000_000
_LARGEST_TOTAL = 2_000_000_000


class Finding(BaseModel):
    """One pinned package that an advisory speaks of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]


class Audit(BaseModel):
    """What a file of advisories says of a model's packages.

    Attributes
    ----------
    digest : str
        SHA-256 of the records.
    records : int
        How many of them speak of PyPI, those withdrawn left out.
    newest : int
        When the newest record was modified, ms since the epoch, UTC: how much the file can know.
    unknown : tuple of str
        Packages that cannot be looked up, because nothing, or no version of PEP 440, is pinned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    records: int
    newest: int
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]


def audit(path: Path, pins: Iterable[Pin]) -> Audit:
    """Look packages up in a file, a folder or an archive of OSV records.

    Raises
    ------
    PolicyError
        Where it cannot be read, is far larger than what osv.dev exports, holds no record, or one that is no OSV
        record; names it.
    """
    digest, newest, count = hashlib.sha256(), 0, 0
    versions: dict[str, list[tuple[Version, Pin]]] = {}
    unknown = []
    for pin in pins:
        try:
            versions.setdefault(pin.name, []).append((Version(pin.version or ""), pin))
        except InvalidVersion:
            unknown.append(pin.name)
    findings: list[Finding] = []
    for place, text in _texts(path):
        digest.update(hashlib.sha256(text.encode()).digest())
        for record in _records(place, text):
            newest = max(newest, _milliseconds(place, record))
            affected = [each for each in record.get("affected") or () if _is_pypi(each)]
            if record.get("withdrawn") or not affected:
                continue
            count += 1
            findings.extend(_matches(place, record, affected, versions))
    if not newest:
        raise PolicyError(
            f"the advisories {path} hold no OSV record; expected JSON as osv.dev exports it for PyPI"
        )
    return Audit(
        digest=digest.hexdigest(),
        records=count,
        newest=newest,
        findings=tuple(sorted(findings, key=lambda found: (found.package, found.version, found.id))),
        unknown=tuple(sorted(unknown)),
    )


def affects(affected: Mapping[str, Any], version: Version) -> bool:
    """Whether one entry of a record's ``affected`` speaks of a version.

    It does where the version is listed, or lies in a range: the events are taken in the order of their versions;
    ``introduced`` begins, ``fixed`` ends before its version, ``last_affected`` ends after it, ``limit`` bounds
    all.

    Examples
    --------
    >>> entry = {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.10"}]}]}
    >>> affects(entry, Version("1.9")), affects(entry, Version("1.10"))
    (True, False)
    """
    listed = affected.get("versions") or ()
    if any(_same(each, version) for each in listed):
        return True
    ranges = affected.get("ranges") or ()
    return any(_in_range(each.get("events") or (), version) for each in ranges if each.get("type") != "GIT")


def _same(listed: str, version: Version) -> bool:
    try:
        return Version(listed) == version
    except InvalidVersion:
        return listed == str(version)


def _in_range(events: Iterable[Mapping[str, str]], version: Version) -> bool:
    # None stands for an introduction before every version, and for no limit; neither is ever compared.
    marks = [(_bound(kind, text), kind) for event in events for kind, text in event.items()]
    limits = [bound for bound, kind in marks if kind == "limit"]
    if limits and not any(limit is None or version < limit for limit in limits):
        return False
    inside = any(bound is None and kind == "introduced" for bound, kind in marks)
    placed = [(bound, kind) for bound, kind in marks if bound is not None]
    # By version alone: events of one version keep the order of the record.
    for bound, kind in sorted(placed, key=lambda mark: mark[0]):
        if kind == "introduced" and version >= bound:
            inside = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            inside = False
    return inside


def _bound(kind: str, text: str) -> Version | None:
    return None if (kind, text) in (("introduced", "0"), ("limit", "*")) else Version(text)


def _matches(
    place: str,
    record: Mapping[str, Any],
    affected: list[Mapping[str, Any]],
    versions: Mapping[str, list[tuple[Version, Pin]]],
) -> Iterator[Finding]:
    found: dict[tuple[str, str], Finding] = {}
    for entry in affected:
        name = canonicalize_name(entry["package"]["name"])
        for version, pin in versions.get(name, ()):
            try:
                hit, fixed = affects(entry, version), _fixes(entry)
            except (InvalidVersion, AttributeError, TypeError) as error:
                raise PolicyError(f"the advisory {record.get('id')} in {place} cannot be read: {error}") from error
            if hit:
                found[name, str(version)] = Finding(
                    package=name,
                    version=str(pin.version),
                    id=str(record["id"]),
                    aliases=tuple(sorted(map(str, record.get("aliases") or ()))),
                    summary=" ".join(str(record.get("summary") or record.get("details") or "").split())[:200],
                    fixed=tuple(fixed),
                )
    yield from found.values()


def _fixes(entry: Mapping[str, Any]) -> list[str]:
    return sorted(
        {
            event["fixed"]
            for each in entry.get("ranges") or ()
            if each.get("type") != "GIT"
            for event in each.get("events") or ()
            if "fixed" in event
        },
        key=Version,
    )


def _is_pypi(entry: Mapping[str, Any]) -> bool:
    package = entry.get("package") or {}
    return str(package.get("ecosystem", "")).partition(":")[0] == "PyPI" and bool(package.get("name"))


def _milliseconds(place: str, record: Mapping[str, Any]) -> int:
    try:
        time = datetime.fromisoformat(str(record["modified"]))
    except (KeyError, ValueError) as error:
        raise PolicyError(f"the advisory {record.get('id')} in {place} says not when it was modified") from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _records(place: str, text: str) -> Iterator[Mapping[str, Any]]:
    """One record, a list of them, or `{"vulns": [...]}` as the query interface of osv.dev answers."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"the advisories {place} are not JSON: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("vulns"), list):
        content = content["vulns"]
    for record in content if isinstance(content, list) else [content]:
        if not isinstance(record, dict) or not record.get("id") or "modified" not in record:
            raise PolicyError(f"{place} holds something that is no OSV record: expected id, modified and affected")
        affected = record.get("affected") or []
        if not isinstance(affected, list) or not all(isinstance(each, dict) for each in affected):
            raise PolicyError(f"the advisory {record['id']} in {place} has no list of what it affects")
        yield record


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Name and content of every JSON file, in the order of the names."""
    budget = _LARGEST_TOTAL
    try:
        for place, size, opened in _files(path):
            largest = min(budget, _LARGEST_FILE)
            # What an archive says of a member's size is a claim: no more than this is taken out of it.
            with opened() as stream:
                content = stream.read(largest + 1) if size <= largest else b""
            if size > largest or len(content) > largest:
                raise PolicyError(
                    f"{place} among the advisories makes them too large: at most {_LARGEST_FILE} bytes are read "
                    f"of a file and {_LARGEST_TOTAL} of all; expected OSV records as osv.dev exports them for PyPI"
                )
            budget -= len(content)
            yield place, content.decode("utf-8")
    except (
        OSError,
        UnicodeDecodeError,
        EOFError,
        # What an archive may be besides whole: broken, packed in a way that is not known here, encrypted.
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise PolicyError(f"the advisories {path} cannot be read: {error}; expected OSV records") from error


def _files(path: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    """Name, size as it is claimed, and a way to open it, of every file that may hold records."""
    if path.is_dir():
        found = [file for file in path.rglob("*.json") if file.is_file()]
        _require_few(path, len(found))
        for file in sorted(found):
            yield str(file), file.stat().st_size, partial(FileIO, file)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _require_few(path, len(members))
            for member in sorted(members, key=lambda member: (member.filename, member.header_offset)):
                if member.filename.endswith(".json"):
                    yield f"{path}:{member.filename}", member.file_size, partial(archive.open, member)
    else:
        yield str(path), path.stat().st_size, partial(FileIO, path)


def _require_few(path: Path, files: int) -> None:
    if files > _MOST_FILES:
        raise PolicyError(
            f"the advisories {path} hold {files} files, at most {_MOST_FILES} are read; expected OSV records as "
            "osv.dev exports them for PyPI"
        )
