"""What a model needs to be served: the pins of its requirements.txt and conda.yaml, and hashes from a lock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from model_governance.errors import EvidenceError, PolicyError
from model_governance.plain_yaml import read_yaml

__all__ = ["FILES", "Pin", "read_lock", "read_pins"]

FILES = ("requirements.txt", "conda.yaml")
"""Files of a model that say what it needs."""

_HASH = re.compile(r"--hash[= ](sha256|sha384|sha512):([0-9a-fA-F]+)")
_CONDA = re.compile(r"(?:[^:\s]+::)?(?P<name>[A-Za-z0-9_.-]+)\s*(?:={1,2}\s*(?P<version>[^\s=*,<>!]+)(?:=\S+)?)?")
# Not from PyPI, or what MLflow names without a version to install the others with.
_NOT_SERVED = frozenset({"python", "pip", "setuptools", "wheel"})


class Pin(BaseModel):
    """One package that a model needs.

    Attributes
    ----------
    name : str
        Normalised (PEP 503); for what is no requirement, the line itself.
    version : str or None
        None where the line pins none, so that nobody knows what will serve.
    hashes : tuple of str
        ``sha256:...`` of the files that the lock allows, sorted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str | None
    hashes: tuple[str, ...] = ()


def read_pins(
    files: Mapping[str, bytes], lock: Mapping[tuple[str, str], tuple[str, ...]]
) -> tuple[Pin, ...] | None:
    """All packages that a model's files name, sorted; None where the model has no such file.

    Parameters
    ----------
    files : mapping
        Content by file name, of those of `FILES` that there are.
    lock : mapping of (name, version) to hashes
        As `read_lock` gives it.

    Raises
    ------
    EvidenceError
        Where one of them is not UTF-8, or conda.yaml is no YAML mapping.

    Examples
    --------
    >>> [(pin.name, pin.version) for pin in read_pins({"requirements.txt": b"Pillow==11.0\\nnumpy>=2\\n"}, {})]
    [('numpy', None), ('pillow', '11.0')]
    """
    if not files:
        return None
    found: dict[tuple[str, str], Pin] = {}
    for file, content in files.items():
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise EvidenceError(f"the model's {file} is not UTF-8: {error}; log the model again") from error
        for pin in _conda_pins(text) if file == "conda.yaml" else _pins(text.splitlines()):
            version = pin.version or ""
            hashes = tuple(sorted({*pin.hashes, *lock.get((pin.name, version), ())}))
            found.setdefault((pin.name, version), pin.model_copy(update={"hashes": hashes}))
    return tuple(found[key] for key in sorted(found))


def read_lock(path: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """Hashes by name and version, of a requirements file as pip's ``--require-hashes`` reads it.

    Raises
    ------
    PolicyError
        Where there is no such file, or it holds no hash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the policy's lock {path} cannot be read: {error}") from error
    locked = {(pin.name, pin.version): pin.hashes for pin in _pins(lines) if pin.version and pin.hashes}
    if not locked:
        raise PolicyError(f"the policy's lock {path} holds no pinned requirement with a hash; expected one")
    return locked


def _pins(lines: list[str]) -> Iterator[Pin]:
    for line in _logical(lines):
        hashes = tuple(sorted(f"{kind}:{digest.lower()}" for kind, digest in _HASH.findall(line)))
        text = _HASH.sub("", line).strip()
        if text.startswith("-"):
            # Another file, an index, an editable folder: what it brings in cannot be told from here.
            if not text.startswith(("--hash", "--no-", "--prefer-binary", "--only-binary", "--require-hashes")):
                yield Pin(name=text, version=None)
            continue
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            yield Pin(name=text, version=None)
            continue
        exact = [each for each in wanted.specifier if each.operator in ("==", "===") and "*" not in each.version]
        version = exact[0].version if len(wanted.specifier) == len(exact) == 1 and wanted.url is None else None
        yield Pin(name=canonicalize_name(wanted.name), version=_normal(version), hashes=hashes)


def _logical(lines: list[str]) -> Iterator[str]:
    """Lines as pip reads them: continued ones joined, comments and empty ones left out."""
    begun = ""
    for line in [*lines, ""]:
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if text.endswith("\\"):
            begun += text[:-1] + " "
            continue
        if (begun + text).strip():
            yield (begun + text).strip()
        begun = ""


def _conda_pins(text: str) -> Iterator[Pin]:
    try:
        content = read_yaml(text)
    except yaml.YAMLError as error:
        raise EvidenceError(f"the model's conda.yaml is not YAML: {error}; log the model again") from error
    entries = content.get("dependencies") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise EvidenceError("the model's conda.yaml has no list of dependencies; log the model again")
    for entry in entries:
        if isinstance(entry, dict):
            lines = entry.get("pip")
            yield from _pins([str(line) for line in lines] if isinstance(lines, list) else [])
            continue
        line = str(entry).strip()
        if re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() in _NOT_SERVED:
            continue
        match = _CONDA.fullmatch(line)
        if match is None:
            yield Pin(name=line, version=None)
        else:
            yield Pin(name=canonicalize_name(match["name"]), version=_normal(match["version"]))


def _normal(version: str | None) -> str | None:
    try:
        return None if version is None else str(Version(version))
    except InvalidVersion:
        return version
