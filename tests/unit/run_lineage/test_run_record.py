"""What a step records of itself: changes that `git apply` takes, digests that are held, nothing that is secret."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from run_lineage import RecordError, read_record, record
from run_lineage.changes import LARGEST_FILE, LARGEST_TEXT, MOST_FILES, uncommitted_changes
from run_lineage.locks import closest_lock, differences, pins
from tests.empty_store import empty_store


def git(folder: Path, *arguments: str, content: bytes | None = None) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, input=content
    )
    return done.stdout.decode().strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "train.py").write_text("x = 1\n")
    (folder / "gone.py").write_text("y = 1\n")
    (folder / "logo.png").write_bytes(b"\x89PNG\0")
    (folder / ".gitignore").write_text("*.log\n.env\n")
    (folder / "requirements.txt").write_text("numpy==2.0\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def again(checkout: Path, diff: bytes) -> Path:
    """A second checkout of the commit, with the diff on top."""
    folder = checkout.with_name("again")
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    git(checkout, "clone", "-q", "--shared", str(checkout), str(folder))
    if diff:
        git(folder, "apply", "--whitespace=nowarn", "-", content=diff)
    return folder


def test_a_clean_checkout_has_no_changes(checkout: Path) -> None:
    changes = uncommitted_changes(checkout)
    assert changes is not None
    assert (changes.diff, changes.changed, changes.new) == (b"", {}, {})


def test_changed_new_and_deleted_files_come_back(checkout: Path) -> None:
    (checkout / "train.py").write_text("x = 2\n")
    (checkout / "gone.py").unlink()
    (checkout / "below").mkdir()
    (checkout / "below" / "a new ü.py").write_text('z = "no newline at the end"')
    (checkout / "run.sh").write_text("true\n")
    (checkout / "run.sh").chmod(0o755)
    (checkout / "empty.txt").touch()
    git(checkout, "add", "train.py")  # staged or not is all the same
    before = git(checkout, "status", "--porcelain")
    changes = uncommitted_changes(checkout)
    assert changes is not None
    assert not changes.changed
    assert not changes.new
    folder = again(checkout, changes.diff)
    for name in ("train.py", "below/a new ü.py", "run.sh", "empty.txt"):
        assert (folder / name).read_bytes() == (checkout / name).read_bytes()
    assert not (folder / "gone.py").exists()
    assert (folder / "run.sh").stat().st_mode & 0o100
    assert git(checkout, "status", "--porcelain") == before, "the checkout and its index are as they were"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.binary(max_size=60).filter(lambda content: b"\0" not in content),
)
def test_any_new_text_file_comes_back_bit_by_bit(checkout: Path, name: str, content: bytes) -> None:
    path = checkout / "new" / f"a{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    changes = uncommitted_changes(checkout)
    path.unlink()
    assert changes is not None
    assert (again(checkout, changes.diff) / "new" / path.name).read_bytes() == content


def test_what_is_no_code_is_named_and_left_out(checkout: Path) -> None:
    (checkout / "logo.png").write_bytes(b"\x89PNG\0\1")
    (checkout / "weights.bin").write_bytes(b"\0" * 10)
    (checkout / "huge.txt").write_text("x" * (LARGEST_FILE + 1))
    (checkout / "link.py").symlink_to("/etc/hostname")
    (checkout / "server.pem").write_text("-----BEGIN PRIVATE KEY-----")
    (checkout / "secrets.yaml").write_text("password: hunter2")
    (checkout / "noise.log").write_text("hunter2")
    (checkout / ".env").write_text("TOKEN=hunter2")
    (checkout / "labels").mkdir()
    for number in range(MOST_FILES + 1):
        (checkout / "labels" / f"{number}.txt").write_text("0 hunter2")
    changes = uncommitted_changes(checkout)
    assert changes is not None
    assert changes.diff == b""
    assert changes.changed == {"logo.png": "binary"}
    assert set(changes.new) == {
        "weights.bin", "huge.txt", "link.py", "server.pem", "secrets.yaml", "labels/",
    }  # fmt: skip
    assert changes.new["server.pem"] == changes.new["secrets.yaml"] == "called like a secret"
    assert str(MOST_FILES + 1) in changes.new["labels/"]


def test_more_than_fits_is_named(checkout: Path) -> None:
    (checkout / "train.py").write_text("x = 1\n" * (LARGEST_TEXT // 6 + 1))
    changes = uncommitted_changes(checkout)
    assert changes is not None
    assert changes.diff == b""
    assert str(LARGEST_TEXT) in changes.changed["train.py"]


def test_the_users_own_diff_settings_change_nothing(checkout: Path) -> None:
    (checkout / "train.py").write_text("x = 2\n")
    for name, value in (("diff.noprefix", "true"), ("color.diff", "always"), ("diff.external", "false")):
        git(checkout, "config", name, value)
    changes = uncommitted_changes(checkout)
    assert changes is not None
    assert (again(checkout, changes.diff) / "train.py").read_text() == "x = 2\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking store for all of these tests: each looks at runs of its own alone."""
    return empty_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(shared)
    yield shared
    mlflow.set_tracking_uri(before)


def begin(checkout: Path, **changes: object) -> str:
    with mlflow.start_run() as run:
        told: dict[str, object] = {"step": "train", "settings": {"epochs": 2}, "folder": checkout, **changes}
        record(run.info.run_id, **told)  # type: ignore[arg-type]
    return str(run.info.run_id)


def test_a_record_is_read_as_it_was_written(
    checkout: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    weights = tmp_path / "best.pt"
    weights.write_bytes(b"abc")
    (checkout / "train.py").write_text("x = 2\n")
    run_id = begin(
        checkout, files={"weights": weights, "absent": tmp_path / "no"}, data=["d" * 64], seeds={"seed": 7},
        parent="camera-counter/3",
    )  # fmt: skip
    found = read_record(run_id)
    assert (found.step, found.settings, found.data) == ("train", {"epochs": 2}, ("d" * 64,))
    # SHA-256 of "abc", FIPS 180-2, appendix B.1
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found.files == {"weights": digest}
    assert found.variables["OMP_NUM_THREADS"] == "3"
    assert found.lock == "numpy==2.0\n"
    assert any(line.startswith("mlflow==") for line in found.environment)
    assert b"+x = 2" in found.diff
    tags = mlflow.get_run(run_id).data.tags
    assert tags["lineage.data"] == "d" * 64
    assert tags["lineage.seeds"] == "seed=7"
    assert tags["lineage.parent_version"] == "camera-counter/3"
    assert found.commit == git(checkout, "rev-parse", "HEAD")


def test_a_run_that_mlflow_run_made_gets_the_tags_that_it_lacks(checkout: Path, store: str) -> None:
    run = MlflowClient().create_run("0")  # as `mlflow run` does, past every context provider
    assert not [tag for tag in run.data.tags if tag.startswith("lineage.")]
    record(run.info.run_id, step="train", settings={}, folder=checkout)
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert tags["lineage.git_commit"] == git(checkout, "rev-parse", "HEAD")
    assert {"lineage.python", "lineage.environment_digest", "lineage.lock_digest", "lineage.cpu_count"} <= set(
        tags
    )


def test_a_step_that_is_taken_up_again_keeps_its_record(checkout: Path, store: str) -> None:
    run_id = begin(checkout)
    told = {"step": "train", "settings": {"epochs": 2}, "folder": checkout}
    record(run_id, **told)  # type: ignore[arg-type]
    assert not read_record(run_id).mixed
    (checkout / "train.py").write_text("x = 3\n")
    record(run_id, **told)  # type: ignore[arg-type]
    found = read_record(run_id)
    assert found.mixed
    assert found.diff == b"", "what it began with"


@pytest.mark.parametrize("name", ["settings.json", "environment.txt", "uncommitted.diff"])
def test_a_file_that_was_exchanged_is_neither_applied_nor_run(checkout: Path, store: str, name: str) -> None:
    (checkout / "train.py").write_text("x = 2\n")
    run_id = begin(checkout)
    path = Path(str(mlflow.get_run(run_id).info.artifact_uri)) / "lineage" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RecordError, match="exchanged"):
        read_record(run_id)
    path.unlink()
    with pytest.raises(RecordError, match="no longer hold"):
        read_record(run_id)


def test_who_recorded_nothing_is_told_so(store: str) -> None:
    with mlflow.start_run() as run:
        pass
    with pytest.raises(RecordError, match="no record"):
        read_record(run.info.run_id)
    with pytest.raises(RecordError, match="expected a run"):
        read_record("0" * 32)
    MlflowClient().set_tag(run.info.run_id, "lineage.record", json.dumps(["x"]))
    with pytest.raises(RecordError, match="not one that this package wrote"):
        read_record(run.info.run_id)


def test_outside_of_a_checkout_settings_and_packages_are_recorded(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = read_record(begin(tmp_path))
    assert (found.commit, found.lock, found.diff) == (None, None, b"")
    assert found.environment


def test_the_lock_that_fits_best(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("a==1\nb==1\nc==1\n")
    (tmp_path / "requirements" / "train.txt").write_text("a==1\nb==1\n")
    (tmp_path / "requirements" / "other.txt").write_text("a==2\n")

    def best(*installed: str) -> tuple[str, dict[str, str]]:
        found = closest_lock(tmp_path, list(installed))
        assert found is not None
        return found[0].name, found[1]

    assert best("a==1", "b==1", "z==9") == ("train.txt", {})
    assert best("a==1", "b==1", "c==1") == ("dev.txt", {})
    assert best("a==1", "b==2") == ("train.txt", {"b": "1, here 2"})
    assert closest_lock(tmp_path / "requirements" / "none", []) is None


def test_pins_and_differences() -> None:
    text = 'A_b==1.0 \\\n    --hash=sha256:00\nc[x]==2 ; python_version < "3"\nd==3 ; python_version >= "3"\n'
    assert pins(text) == {"a-b": "1.0", "d": "3"}
    assert differences(["a==1"], ["a==1"]) == {}
