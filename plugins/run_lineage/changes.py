"""What was changed in a checkout on top of its commit, as one text that `git apply` takes.

Changes of tracked files, and new files that no `.gitignore` matches, as long as they are text and small. What is
left out is named with its reason, so that nobody takes the text for all there was: binary files, large ones, what
is called like a secret, links, and everything beyond the limit of the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from run_lineage.checkout import git

__all__ = ["Changes", "uncommitted_changes"]

LARGEST_FILE = 200_000
"""Bytes of a new file that is still kept."""
LARGEST_TEXT = 2_000_000
"""Bytes of all changes together that are still kept."""

MOST_FILES = 100
"""New files of one new folder that are still looked at; more are data, not code."""

_PATIENCE_SECONDS = 20.0
_SECRET = re.compile(
    r"(^|/)(\.env(\..*)?|\.netrc|\.pgpass|\.pypirc|\.git-credentials|id_(rsa|dsa|ecdsa|ed25519)|credentials(\.\w+)?"
    r"|secrets?(\.\w+)?|[^/]*\.(pem|key|p12|pfx|jks|kdbx))$",
    re.IGNORECASE,
)
# Whatever the user's own settings are, the same text comes out.
_PLAIN = ("-c", "core.quotePath=true", "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false")
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--full-index")


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a checkout.

    Parameters
    ----------
    diff : bytes
        For `git apply`; empty where nothing was changed.
    changed, new : mapping of str to str
        Tracked and new paths that are not in it, and why. A folder of new files stands for all of them.
    """

    diff: bytes = b""
    changed: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)


def uncommitted_changes(root: Path) -> Changes | None:
    """All that differs from the commit in the checkout at `root`; None where git does not answer in time."""
    numbers = _ask(root, *_DIFF, "--numstat", "-z", "HEAD")
    listed = _ask(root, "ls-files", "--others", "--exclude-standard", "--directory", "--no-empty-directory", "-z")
    if numbers is None or listed is None:
        return None
    changed: dict[str, str] = {}
    tracked = []
    for line in filter(None, numbers.split(b"\0")):
        added, _, rest = line.partition(b"\t")
        path = _text(rest.partition(b"\t")[2])
        if reason := _of_name(path) or ("binary" if added == b"-" else ""):
            changed[path] = reason
        else:
            tracked.append(path)
    diff = b""
    if tracked:
        # A list of paths only where something is left out of all of them.
        chosen = [f":(top,literal){path}" for path in tracked] if changed else []
        answer = _ask(root, *_DIFF, "HEAD", "--", *chosen)
        if answer is None:
            return None
        diff = answer
    if len(diff) > LARGEST_TEXT:
        changed |= dict.fromkeys(tracked, f"all changes together are {len(diff)} bytes, more than {LARGEST_TEXT}")
        diff = b""
    found = _new_files(root, [_text(path) for path in filter(None, listed.split(b"\0"))], len(diff))
    return None if found is None else Changes(diff + found[0], _shown(changed), _shown(found[1]))


def _new_files(root: Path, listed: list[str], size: int) -> tuple[bytes, dict[str, str]] | None:
    """The part of the diff that new files make, and which of them it lacks."""
    parts: list[bytes] = []
    left_out: dict[str, str] = {}
    for entry in listed:
        paths = [entry]
        if entry.endswith("/"):
            inside = _ask(root, "ls-files", "--others", "--exclude-standard", "-z", "--", f":(top,literal){entry}")
            if inside is None:
                return None
            paths = [_text(path) for path in filter(None, inside.split(b"\0"))]
            if len(paths) > MOST_FILES:
                left_out[entry] = f"a folder of {len(paths)} new files, more than {MOST_FILES}"
                continue
        for path in paths:
            reason, text = _new_file(root, path)
            if not reason and size + len(text) > LARGEST_TEXT:
                reason = f"all changes together are more than {LARGEST_TEXT} bytes"
            if reason:
                left_out[path] = reason
            else:
                parts.append(text)
                size += len(text)
    return b"".join(parts), left_out


def _new_file(root: Path, path: str) -> tuple[str, bytes]:
    """Why a file that is not tracked is left out, or nothing and its part of the diff."""
    if reason := _of_name(path):
        return reason, b""
    full = root / path
    try:
        if full.is_symlink() or not full.is_file():
            return "no plain file", b""
        if (size := full.stat().st_size) > LARGEST_FILE:
            return f"{size} bytes, more than {LARGEST_FILE}", b""
        content = full.read_bytes()
        executable = bool(full.stat().st_mode & 0o100)
    except OSError as error:
        return f"cannot be read: {error.strerror}", b""
    if b"\0" in content:
        return "binary", b""
    return "", _as_new(path, content, "100755" if executable else "100644")


def _as_new(path: str, content: bytes, mode: str) -> bytes:
    """A new file as git writes it; git itself would need a process for each, or write into the repository."""
    name = _quoted(path)
    before, after = (name[:1] + b"a/" + name[1:], name[:1] + b"b/" + name[1:]) if name[:1] == b'"' else (
        b"a/" + name, b"b/" + name,
    )  # fmt: skip
    head = b"diff --git " + before + b" " + after + b"\nnew file mode " + mode.encode() + b"\n"
    if not content:
        return head + b"index 0000000..e69de29\n"
    lines = content.split(b"\n")
    ends = lines[-1] == b""
    if ends:
        lines.pop()
    # A name with a space would end there for `git apply`, but for the tab.
    tab = b"\t" if b" " in name else b""
    body = b"".join(b"+" + line + b"\n" for line in lines)
    if not ends:
        body += b"\\ No newline at end of file\n"
    count = b"1" if len(lines) == 1 else b"1," + str(len(lines)).encode()
    return head + b"--- /dev/null\n+++ " + after + tab + b"\n@@ -0,0 +" + count + b" @@\n" + body


def _quoted(path: str) -> bytes:
    """A path as git quotes it in a diff: in quotation marks where it holds anything out of the ordinary."""
    raw = path.encode("utf-8", "surrogateescape")
    if all(32 <= byte < 127 and byte not in b'"\\' for byte in raw):
        return raw
    out = b"".join(_letter(byte) for byte in raw)
    return b'"' + out + b'"'


def _letter(byte: int) -> bytes:
    if byte in b'"\\':
        return b"\\" + bytes([byte])
    return bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte


def _of_name(path: str) -> str:
    return "called like a secret" if _SECRET.search(path) else ""


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _shown(reasons: dict[str, str]) -> dict[str, str]:
    return {
        path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"): why for path, why in reasons.items()
    }


def _ask(root: Path, *arguments: str) -> bytes | None:
    return git(root, *_PLAIN, *arguments, patience=_PATIENCE_SECONDS)
