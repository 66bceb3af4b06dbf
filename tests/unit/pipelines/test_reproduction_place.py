"""Where a run is made again: its code, its packages, its files, and nothing left of a call that was killed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.reproduction.errors import ReproductionError
from pipelines.reproduction.place import check_code, interpreter, recorded_code, scratch
from pipelines.reproduction.rerun import _environment, settings_here
from pipelines.reproduction.steps import REPEATABLE
from run_lineage import RunRecord

HERE = ".".join(map(str, sys.version_info[:3]))
RECORD = RunRecord("train", {}, environment=("a==1", "b==2"), python=HERE)


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is installed here, as far as the code under test knows."""
    here = ["a==1", "b==2", "mlflow-camera-counting==9.9"]
    monkeypatch.setattr("pipelines.reproduction.place.installed", lambda: here)
    return here


def test_the_same_packages_are_good_and_more_of_them_are_told(packages: list[str], tmp_path: Path) -> None:
    assert interpreter(RECORD, "same", tmp_path, tmp_path) == (Path(sys.executable), [])
    packages.append("c==3")
    assert interpreter(RECORD, "same", tmp_path, tmp_path)[1] == ["1 packages here that were not there: c"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["a==1", "b==3"], "b 2, here 3"),
        (["a==1"], "b 2, here not installed"),
        ([], "a 1, here not installed; b 2, here not installed"),
    ],
)
def test_other_packages_are_refused_unless_any_will_do(
    packages: list[str], tmp_path: Path, change: list[str], told: str
) -> None:
    packages[:] = change
    with pytest.raises(ReproductionError, match=told):
        interpreter(RECORD, "same", tmp_path, tmp_path)
    assert interpreter(RECORD, "any", tmp_path, tmp_path)[1] == told.split("; ")


def test_another_python_is_another_environment(packages: list[str], tmp_path: Path) -> None:
    with pytest.raises(ReproductionError, match=rf"python 2\.7\.18, here {HERE}"):
        interpreter(replace(RECORD, python="2.7.18"), "same", tmp_path, tmp_path)


def test_without_a_lock_uv_has_nothing_to_build_from(tmp_path: Path) -> None:
    with pytest.raises(ReproductionError, match="no lock file"):
        interpreter(RECORD, "uv", tmp_path, tmp_path)


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    # A hook of somebody's own, which must not run.
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'hooked'}\n")
    hook.chmod(0o755)
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return folder, told.stdout.strip()


def test_the_recorded_code_is_made_beside_the_checkout(repository: tuple[Path, str], tmp_path: Path) -> None:
    folder, commit = repository
    diff = b"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    record = replace(RECORD, commit=commit, diff=diff)
    check_code(record, folder)
    with recorded_code(record, folder, tmp_path / "code") as code:
        assert (code / "a.py").read_text() == "x = 2\n"
    assert not (tmp_path / "code").exists()
    assert not list((folder / ".git").glob("worktrees/*"))
    assert (folder / "a.py").read_text() == "x = 1\n"
    assert not (tmp_path / "hooked").exists()
    broken = replace(record, diff=diff.replace(b"x = 1", b"y = 1"))
    with pytest.raises(ReproductionError, match="do not apply"), recorded_code(broken, folder, tmp_path / "code"):
        pass
    assert not (tmp_path / "code").exists()


def test_code_that_is_not_all_known_is_refused(repository: tuple[Path, str], tmp_path: Path) -> None:
    folder, commit = repository
    record = replace(RECORD, commit=commit)
    with pytest.raises(ReproductionError, match="no commit"):
        check_code(RECORD, folder)
    with pytest.raises(ReproductionError, match=r"a\.bin \(binary\)"):
        check_code(replace(record, changed={"a.bin": "binary"}), folder)
    with pytest.raises(ReproductionError, match=r"new\.py"):
        check_code(replace(record, new={"new.py": "huge"}), folder)
    check_code(replace(record, new={"data/": "a folder of 300 new files"}), folder)
    with pytest.raises(ReproductionError, match="not in"):
        check_code(replace(record, commit="f" * 40), folder)
    with pytest.raises(ReproductionError, match="--repository"):
        check_code(record, Path("/"))


def test_the_place_of_a_killed_call_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = tmp_path / f"{ended.pid}-aaaa.again"
    (left / "data").mkdir(parents=True)
    with scratch(tmp_path) as place, scratch(tmp_path) as other:
        assert not left.exists()
        assert place.is_dir()
        assert other != place, "two at once do not disturb each other"
    with scratch(tmp_path, keep=True) as kept:
        pass
    assert list(tmp_path.iterdir()) == [kept]


def test_files_that_settings_name_are_found_with_the_recorded_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, place = tmp_path / "code", tmp_path / "place"
    code.mkdir()
    (tmp_path / "best.pt").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    record = replace(RECORD, settings={"weights": "best.pt", "data": "x", "epochs": 2}, files={"weights": digest})
    told = settings_here(record, REPEATABLE["train"], tmp_path / "data", code, place)
    assert told["weights"] == str(tmp_path / "best.pt")
    assert (told["data"], told["epochs"], told["work"]) == (str(tmp_path / "data"), 2, str(place / "training"))
    (tmp_path / "best.pt").write_bytes(b"others")
    with pytest.raises(ReproductionError, match=r"weights was best\.pt with SHA-256"):
        settings_here(record, REPEATABLE["train"], tmp_path / "data", code, place)


def test_a_source_is_read_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "generated").mkdir()
    for source, expected in (("labels", str(tmp_path / "labels")), ("generated", "generated")):
        record = replace(RECORD, settings={"source": source})
        told = settings_here(record, REPEATABLE["prepare"], None, tmp_path / "code", tmp_path)
        assert told["source"] == expected


def test_a_record_cannot_say_which_library_is_loaded(tmp_path: Path) -> None:
    record = replace(RECORD, variables={"OMP_NUM_THREADS": "3", "LD_PRELOAD": "evil.so"})
    given = _environment(record, tmp_path, "run", "0")
    assert given["OMP_NUM_THREADS"] == "3"
    assert given.get("LD_PRELOAD") == os.environ.get("LD_PRELOAD")
