"""The record that a run can be made again from: its code, its environment, its settings, its data.

Tags are what one searches by, and what a context provider can give; what is larger lies in the run's artefacts:

    lineage/
      settings.json        the step, its exact settings, what they name, the variables that change arithmetic
      uncommitted.diff     the checkout's changes on top of its commit; absent where there were none
      left_out.json        changes that are not in it, and why; absent where it is complete
      requirements.lock    the lock file that fits the environment best
      environment.txt      every installed distribution; its SHA-256 is the tag `lineage.environment_digest`

The tag `lineage.record` holds the SHA-256 of each of these files, so that a file that was exchanged since is not
taken for what the run recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException

from run_lineage.changes import Changes, uncommitted_changes
from run_lineage.checkout import root_of
from run_lineage.code import checkout_tags
from run_lineage.errors import RecordError
from run_lineage.locks import closest_lock
from run_lineage.machine import installed, machine_tags

__all__ = ["ARITHMETIC", "FOLDER", "RunRecord", "read_record", "record"]

FOLDER = "lineage"
FORMAT_VERSION = 1
_LONGEST_TAG = 5000

ARITHMETIC = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY", "PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip
"""Environment variables that change how numbers come out: in how many parts a sum is added, how it is rounded."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run recorded of itself.

    Parameters
    ----------
    step : str
        Which step it was.
    settings : mapping
        Its exact settings, plain JSON values.
    files : mapping of str to str
        SHA-256 of files that the settings name, by the setting.
    data : tuple of str
        Digests of the data that it used.
    variables : mapping of str to str
        Those of `ARITHMETIC` that were set.
    commit : str or None
    python : str
        Version of the interpreter.
    diff : bytes
        For `git apply`, on top of the commit.
    changed, new : mapping of str to str
        Tracked and new files that the diff lacks, and why; ``"*"`` where git gave no answer.
    lock : str or None
        Text of the lock file.
    environment : tuple of str
        ``name==version`` of every installed distribution.
    mixed : bool
        Whether it was continued by other code, settings or packages than it began with.
    """

    step: str
    settings: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    python: str = ""
    diff: bytes = b""
    changed: Mapping[str, str] = field(default_factory=dict)
    new: Mapping[str, str] = field(default_factory=dict)
    lock: str | None = None
    environment: tuple[str, ...] = ()
    mixed: bool = False


def record(
    run_id: str,
    *,
    step: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Path] | None = None,
    data: Sequence[str] = (),
    seeds: Mapping[str, int] | None = None,
    parent: str | None = None,
    folder: Path | None = None,
) -> None:
    """Write a run's record into its tags and artefacts; call it when the step begins, in its run.

    Called again for a run that has one, it leaves that as it is, and tags the run ``lineage.continued_with`` where
    code, settings or environment are others now.

    Also gives it the tags of `RunLineageContext` where it lacks them: a run that ``mlflow run`` made was never
    given any, since MLflow asks no context provider for those.

    Parameters
    ----------
    run_id : str
    step : str
        Its name, by which it is run again.
    settings : mapping
        Everything that it was told, as plain JSON values. No secrets: whoever reads the run reads them.
    files : mapping of str to path, optional
        Files outside the checkout that decide what comes out, by the setting that names them.
    data : sequence of str, optional
        Whole digests of the data that it uses.
    seeds : mapping of str to int, optional
    parent : str, optional
        The version or model that this one starts from, or follows: ``name/3``, or ``m-...``.
    folder : path, optional
        Inside the checkout; the working directory by default.

    Raises
    ------
    mlflow.exceptions.MlflowException, OSError
        Where the tracking server or the artifact store does not take it. What merely cannot be found out (no git,
        no lock file) is left away.
    """
    client, folder = MlflowClient(), folder or Path.cwd()
    present = client.get_run(run_id).data.tags
    code = checkout_tags(folder)
    root = root_of(folder) if "lineage.git_commit" in code else None
    contents = _contents(step, settings, files or {}, data, root, installed())
    digests = json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in contents.items()})
    if "lineage.record" in present:
        # A step that is taken up again in its own run: what it began with stays.
        same = present["lineage.record"] == digests and present.get("lineage.git_commit") == code.get(
            "lineage.git_commit"
        )
        if not same:
            client.set_tag(run_id, "lineage.continued_with", code.get("lineage.git_commit", "unknown"))
        return
    tags = {key: value for key, value in {**machine_tags(), **code}.items() if key not in present}
    tags["lineage.record"] = digests
    if data:
        tags["lineage.data"] = ",".join(dict.fromkeys(data))[:_LONGEST_TAG]
    if seeds:
        tags["lineage.seeds"] = ", ".join(f"{name}={seed}" for name, seed in sorted(seeds.items()))[:_LONGEST_TAG]
    if parent:
        tags["lineage.parent_version"] = parent
    with tempfile.TemporaryDirectory(prefix="lineage-") as place:
        for name, content in contents.items():
            (Path(place) / name).write_bytes(content)
        client.log_artifacts(run_id, place, FOLDER)
    # After the files: a run that has the tag has them.
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _contents(
    step: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Path],
    data: Sequence[str],
    root: Path | None,
    environment: list[str],
) -> dict[str, bytes]:
    told = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "settings": dict(settings),
        "files": {name: _sha256(path) for name, path in files.items() if path.is_file()},
        "data": list(dict.fromkeys(data)),
        "variables": {name: os.environ[name] for name in ARITHMETIC if name in os.environ},
    }
    contents = {
        "settings.json": (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode(),
        "environment.txt": "\n".join(environment).encode(),
    }
    if root is None:
        return contents
    changes = uncommitted_changes(root)
    if changes is None:
        changes = Changes(changed={"*": "git gave no answer in time"})
    if changes.diff:
        contents["uncommitted.diff"] = changes.diff
    if changes.changed or changes.new:
        left_out = {"changed": changes.changed, "new": changes.new}
        contents["left_out.json"] = (json.dumps(left_out, indent=1, ensure_ascii=False) + "\n").encode()
    if (closest := closest_lock(root, environment)) is not None:
        contents["requirements.lock"] = closest[0].read_bytes()
    return contents


def read_record(run_id: str) -> RunRecord:
    """What a run recorded of itself, each file held against its digest.

    Raises
    ------
    RecordError
        Where there is no such run, it recorded nothing, or a file is missing or was exchanged since.
    """
    client = MlflowClient()
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise RecordError(
            f"expected a run of this tracking server, got {run_id!r}: {error.message}. Its page shows the id, "
            "MLFLOW_TRACKING_URI says which server"
        ) from error
    tags = run.data.tags
    if "lineage.record" not in tags:
        raise RecordError(
            f"the run {run_id} ({run.info.run_name}) has no record to be made again from (no tag lineage.record): "
            "it was made before runs recorded themselves, was killed as it began, or is no step of this project"
        )
    contents = _verified(client, run_id, tags["lineage.record"])
    told = json.loads(contents["settings.json"])
    if told.get("format_version") != FORMAT_VERSION:
        raise RecordError(
            f"the record of run {run_id} has format_version {told.get('format_version')!r}, this code reads "
            f"{FORMAT_VERSION}: use the version of this project that wrote it, or a newer one"
        )
    lock = contents.get("requirements.lock")
    left_out = json.loads(contents.get("left_out.json", b"{}"))
    return RunRecord(
        step=told["step"],
        settings=told["settings"],
        files=told["files"],
        data=tuple(told["data"]),
        variables=told["variables"],
        commit=tags.get("lineage.git_commit"),
        python=tags.get("lineage.python", ""),
        diff=contents.get("uncommitted.diff", b""),
        changed=left_out.get("changed", {}),
        new=left_out.get("new", {}),
        lock=None if lock is None else lock.decode(),
        environment=tuple(contents["environment.txt"].decode().splitlines()),
        mixed="lineage.continued_with" in tags,
    )


def _verified(client: MlflowClient, run_id: str, tag: str) -> dict[str, bytes]:
    try:
        digests: dict[str, str] = json.loads(tag)
        needed = {"settings.json", "environment.txt"} <= digests.keys()
    except (ValueError, AttributeError):
        needed = False
    if not needed:
        raise RecordError(f"the tag lineage.record of run {run_id} is not one that this package wrote: {tag[:80]}")
    contents = {}
    with tempfile.TemporaryDirectory(prefix="lineage-") as place:
        for name, digest in digests.items():
            try:
                path = Path(client.download_artifacts(run_id, f"{FOLDER}/{name}", place))
                content = path.read_bytes()
            except (MlflowException, OSError) as error:
                raise RecordError(
                    f"run {run_id} recorded {FOLDER}/{name}, which its artefacts no longer hold: {error}"
                ) from error
            if (found := hashlib.sha256(content).hexdigest()) != digest:
                raise RecordError(
                    f"{FOLDER}/{name} of run {run_id} is not what the run recorded (SHA-256 {found[:12]}, "
                    f"expected {digest[:12]}): it was exchanged since, so it is neither applied nor run"
                )
            contents[name] = content
    return contents


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
