"""A training's folder: what a kill at any moment leaves, and what is not continued."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.main import plan_of
from pipelines.train import TrainSettings
from pipelines.trainers import TRAINERS, Epoch, TrainingError, TrainingPlan, make_trainer, weights_digest
from pipelines.trainers.training_folder import TrainingFolder, write_whole
from pipelines.trainers.training_run import choose_folder, mark_done

PLAN = TrainingPlan(Path("data"), "digest", ("car",), "tiny.yaml", epochs=3, library="yolo 1")


def _checkpoint(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "written-by-the-library.pt"
    path.write_text(text)
    return path


def _epoch(number: int, *, best: bool = True, last: bool = False) -> Epoch:
    return Epoch(number, {"val/map50": number / 10}, best, last)


def test_epochs_come_back(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path / "t", PLAN)
    for number, best in ((1, True), (2, True), (3, False)):
        checkpoint = _checkpoint(tmp_path, f"weights of {number}")
        folder.keep(_epoch(number, best=best, last=number == 3), checkpoint, checkpoint)
    again = TrainingFolder(tmp_path / "t", PLAN)
    assert again.epochs == folder.epochs
    assert again.finished
    assert again.last.read_text() == "weights of 3"
    assert again.best.read_text() == "weights of 2"
    assert sorted(path.name for path in (tmp_path / "t").glob("*.pt")) == ["best-2.pt", "last-3.pt"]


def test_a_kill_between_checkpoint_and_record_loses_that_epoch_alone(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path / "t", PLAN)
    folder.keep(_epoch(1), _checkpoint(tmp_path, "one"), _checkpoint(tmp_path, "one"))
    # what stands there when the process dies right before the second epoch's record is written
    (tmp_path / "t" / "last-2.pt").write_text("two")
    (tmp_path / "t" / ".epochs.json.123").write_text("[{")
    again = TrainingFolder(tmp_path / "t", PLAN)
    assert [epoch.number for epoch in again.epochs] == [1]
    assert again.last.read_text() == "one"
    assert not again.finished
    again.keep(_epoch(2), _checkpoint(tmp_path, "two anew"), _checkpoint(tmp_path, "two anew"))
    assert again.last.read_text() == "two anew"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "state.json", "old")
    monkeypatch.setattr("os.fsync", _no_space)
    with pytest.raises(OSError, match="no space"):
        write_whole(tmp_path / "state.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert (tmp_path / "state.json").read_text() == "old"


def _no_space(descriptor: int) -> None:
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"digest": "other"}, "digest was 'digest', is 'other'"),
        ({"weights_digest": "other"}, "weights_digest was None, is 'other'"),
        ({"library": "yolo 2"}, "library was 'yolo 1', is 'yolo 2'"),
        ({"options": {"lr0": 0.1}}, "options was {}, is {'lr0': 0.1}"),
    ],
)
def test_another_plan_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    TrainingFolder(tmp_path, PLAN)
    with pytest.raises(TrainingError, match=message.replace("{", r"\{").replace("}", r"\}")):
        TrainingFolder(tmp_path, replace(PLAN, **change))  # type: ignore[arg-type]


def test_data_that_moved_is_the_same_data(tmp_path: Path) -> None:
    TrainingFolder(tmp_path, PLAN)
    TrainingFolder(tmp_path, replace(PLAN, data=Path("elsewhere")))


def test_each_training_has_its_own_folder_and_resume_finds_the_unfinished(tmp_path: Path) -> None:
    first = choose_folder(tmp_path, PLAN, resume=False)
    TrainingFolder(first, PLAN)
    second = choose_folder(tmp_path, PLAN, resume=False)
    assert (first.name, second.name) == ("0001", "0002")
    assert choose_folder(tmp_path, PLAN, resume=True) == first
    with pytest.raises(TrainingError, match="none with these settings"):
        choose_folder(tmp_path, replace(PLAN, seed=4), resume=True)
    mark_done(first, "models:/m-1")
    assert choose_folder(tmp_path, PLAN, resume=True) == second, "nothing unfinished: begin anew"


def test_other_weights_of_the_same_name_are_another_training(tmp_path: Path) -> None:
    """A plan is also what a finished training is taken up again by."""
    settings = TrainSettings(data=tmp_path, weights=tmp_path / "last.pt")
    plans = [plan_of(settings, "digest")]
    for text in ("one", "another"):
        (tmp_path / "last.pt").write_text(text)
        plans += [plan_of(settings, "digest"), plan_of(settings, "digest")]
    assert plans[1] == plans[2]
    assert len(set(plans)) == 3
    assert weights_digest(tmp_path / "last.pt") == hashlib.sha256(b"another").hexdigest()


def test_trainers_are_named() -> None:
    with pytest.raises(TrainingError, match=f"a trainer out of {', '.join(TRAINERS)}, got 'abacus'"):
        make_trainer("abacus")
