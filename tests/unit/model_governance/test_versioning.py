"""Which number a version gets, which claims are refused, and what the change log and git are told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance import GovernanceError, Policy, VersioningError, collect, promote, register, registration
from model_governance.change_log import change_log, release_notes
from model_governance.cli import main
from model_governance.git_tag import tag_commit
from model_governance.policy import Versioning

MakeModel = Callable[..., str]


def _claim(uri: str, **tags: str) -> str:
    for key, value in tags.items():
        MlflowClient().set_tag(collect(uri).run_id, key, value)
    return uri


def _learnt_from(uri: str, *rows: int, parent: str | None = None) -> str:
    """Let the model's run say what it was trained on; with a parent, what that one was."""
    with mlflow.start_run(run_id=collect(uri).run_id):
        table = mlflow.data.from_pandas(pd.DataFrame({"n": list(rows)}), name="streets")
        tags = {"inherited_from": collect(parent).run_id} if parent else None
        mlflow.log_input(table, context="training", tags=tags)
    return uri


def _patch(make_model: MakeModel, value: float, parent: str, change: str = "re-exported", **model: object) -> str:
    return _claim(make_model(value, **model), change=change, optimised_from=parent)


def _versions() -> int:
    return len(MlflowClient().search_model_versions("name='m'"))


def test_numbers_of_a_history(make_model: MakeModel, policy: Policy) -> None:
    first = make_model(1)
    steps = [
        (first, "1.0.0", "first"),
        (_patch(make_model, 2, first.removeprefix("models:/")), "1.0.1", "re-exported"),
        (make_model(3), "1.1.0", "retrained"),
        (_patch(make_model, 4, first, "re-thresholded"), "1.0.2", "re-thresholded"),
        (make_model(5, columns=("text", "place")), "2.0.0", "interface"),
        (_claim(make_model(6, columns=("text", "place")), change="retrained"), "2.1.0", "retrained"),
    ]
    for uri, number, change in steps:
        done = register(uri, "m", policy)
        tags = MlflowClient().get_model_version("m", done.version).tags
        assert (done.semantic_version, tags["change"]) == (number, change)
    follows = [MlflowClient().get_model_version("m", n).tags.get("follows") for n in range(1, 7)]
    assert follows == [None, "1.0.0", "1.0.1", "1.0.0", "1.1.0", "2.0.0"]


def test_a_patch_of_a_patch_was_learnt_in_the_first_run(make_model: MakeModel, policy: Policy) -> None:
    first = _learnt_from(make_model(1), 1, 2, 3)
    register(first, "m", policy)
    second = _patch(make_model, 2, first)
    register(second, "m", policy)
    third = register(_patch(make_model, 3, "models:/m/2", "re-thresholded"), "m", policy)
    assert third.semantic_version == "1.0.2"
    tags = MlflowClient().get_model_version("m", third.version).tags
    assert tags["training_run_id"] == collect(first).run_id
    again = register(third.evidence.model_uri, "m", policy)
    assert (again.version, again.semantic_version) == (third.version, "1.0.2"), "the same files keep their number"


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"change": "re-exported"}, "does not say from which model: set the tag optimised_from"),
        ({"change": "polished"}, "change='polished' .* says nothing that is known; expected re-exported"),
        ({"change": "re-exported", "optimised_from": "m-0"}, "'m-0', which is not there: no model at"),
        ({"change": "re-thresholded", "optimised_from": "models:/m/7"}, "'models:/m/7', which is not there"),
    ],
)
def test_a_claim_that_names_nothing_is_refused(
    make_model: MakeModel, policy: Policy, tags: dict[str, str], said: str
) -> None:
    with pytest.raises(VersioningError, match=said):
        register(_claim(make_model(1), **tags), "m", policy)
    with pytest.raises(MlflowException):
        MlflowClient().get_registered_model("m")  # nothing half-registered, not even the name


def test_a_patch_of_what_is_not_registered_is_refused(make_model: MakeModel, policy: Policy) -> None:
    register(make_model(1), "m", policy)
    stranger = make_model(2)
    with pytest.raises(VersioningError, match=r"of which no version of 'm' holds the files: register that model"):
        register(_patch(make_model, 3, stranger), "m", policy)
    assert _versions() == 1


@pytest.mark.parametrize("change", ["re-exported", "re-thresholded", "retrained"])
def test_a_minor_or_a_patch_with_another_interface_is_refused(
    make_model: MakeModel, policy: Policy, change: str
) -> None:
    first = make_model(1)
    register(first, "m", policy)
    broken = _claim(make_model(2, columns=("text", "place")), change=change, optimised_from=first)
    with pytest.raises(VersioningError, match=r"interface differs: signature\.inputs was .*text.* and is .*place"):
        register(broken, "m", policy)
    assert _versions() == 1


def test_a_patch_that_learnt_something_new_is_refused(make_model: MakeModel, policy: Policy) -> None:
    first = _learnt_from(make_model(1), 1, 2, 3)
    register(first, "m", policy)
    same = _learnt_from(_patch(make_model, 2, first), 1, 2, 3, parent=first)
    assert register(same, "m", policy).semantic_version == "1.0.1"
    more = _learnt_from(_patch(make_model, 3, first), 1, 2, 3, 4, parent=first)
    with pytest.raises(VersioningError, match=r"learnt from other data .*it is retrained; remove the tag change"):
        register(more, "m", policy)
    assert _versions() == 2


def _marking(policy: Policy, **versioning: Any) -> Policy:
    return policy.model_copy(update={"versioning": Versioning.model_validate(versioning)})


@pytest.mark.parametrize("place", ["run", "model"])
@pytest.mark.parametrize("change", ["re-exported", "re-thresholded"])
def test_a_training_is_no_patch_whatever_it_claims(
    make_model: MakeModel, policy: Policy, change: str, place: str
) -> None:
    """Trained anew on the very data of its parent: its inputs alone do not tell."""
    marking = _marking(policy, training={"tag": "step", "values": ["train", "tune"]})
    first = _learnt_from(make_model(1), 1, 2, 3)
    register(_claim(first, step="train"), "m", marking)
    again = _learnt_from(_patch(make_model, 2, first, change), 1, 2, 3, parent=first)
    if place == "run":
        _claim(again, step="tune")
    else:
        MlflowClient().set_logged_model_tags(again.removeprefix("models:/"), {"step": "tune"})
        _claim(again, step="optimize")
    with pytest.raises(VersioningError, match=r"its run is a training's \(step=tune\): it is retrained; remove"):
        register(again, "m", marking)
    assert _versions() == 1
    other = _learnt_from(_claim(_patch(make_model, 3, first, change), step="optimize"), 1, 2, 3, parent=first)
    assert register(other, "m", marking).semantic_version == "1.0.1"


@pytest.mark.parametrize("context", ["training", "train"])
def test_a_notebook_that_learnt_from_the_same_data_is_no_patch(
    make_model: MakeModel, policy: Policy, context: str
) -> None:
    """Its run carries no mark, but names training data of its own."""
    first = _learnt_from(make_model(1), 1, 2, 3)
    register(first, "m", policy)
    again, stranger = _patch(make_model, 2, first), make_model(9)
    table = mlflow.data.from_pandas(pd.DataFrame({"n": [1, 2, 3]}), name="streets")
    with mlflow.start_run(run_id=collect(again).run_id):
        mlflow.log_input(table, context=context)
    with pytest.raises(VersioningError, match=r"its own run learnt from data \(.*carry the tag inherited_from"):
        register(again, "m", policy)
    with pytest.raises(VersioningError, match="its own run learnt from data"):
        register(_learnt_from(_patch(make_model, 3, first), 1, 2, 3, parent=stranger), "m", policy)
    assert _versions() == 1


def test_a_patch_of_files_that_are_others_by_now_is_refused(make_model: MakeModel, policy: Policy) -> None:
    first = make_model(1)
    done = register(first, "m", policy)
    wrong = _claim(_patch(make_model, 2, first), optimised_from_digest="f" * 64)
    with pytest.raises(VersioningError, match=r"digest f{16} \(optimised_from_digest\), whose files have"):
        register(wrong, "m", policy)
    right = _claim(_patch(make_model, 3, first), optimised_from_digest=done.evidence.artifact.digest)
    assert register(right, "m", policy).semantic_version == "1.0.1"


def test_only_the_threshold_of_a_rethresholded_version_is_another(make_model: MakeModel, policy: Policy) -> None:
    """In this policy the weights are in the requirements' file, which all these models share, or in the code."""
    first = make_model(1)
    register(first, "m", _marking(policy, weights=["requirements.txt"]))
    second = _patch(make_model, 2, first, "re-thresholded")
    for weights in (["*.py"], ["nothing.*"]):
        with pytest.raises(VersioningError, match="are not byte for byte those of the version"):
            register(second, "m", _marking(policy, weights=weights))
    exported = _patch(make_model, 3, first, "re-exported")
    assert register(exported, "m", _marking(policy, weights=["*.py"])).semantic_version == "1.0.1"
    assert register(second, "m", _marking(policy, weights=["requirements.txt"])).semantic_version == "1.0.2"


def test_two_registrations_at_once_never_share_a_number(
    make_model: MakeModel, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(make_model(1), "m", policy)
    slow, quick = make_model(2), make_model(3)
    write = registration.write_bundle

    def overtaken(*arguments: object) -> str:
        """By another registration, after the number was found and before the version is there."""
        monkeypatch.setattr(registration, "write_bundle", write)
        assert register(quick, "m", policy).semantic_version == "1.1.0"
        return str(write(*arguments))  # type: ignore[arg-type]

    monkeypatch.setattr(registration, "write_bundle", overtaken)
    with pytest.raises(VersioningError, match=r"version 2 of 'm' became 1\.1\.0 at the same moment"):
        register(slow, "m", policy)
    assert _versions() == 2, "nothing half-registered"
    assert register(slow, "m", policy).semantic_version == "1.2.0"


def test_a_policy_that_calls_more_the_interface_makes_no_major_version(
    make_model: MakeModel, policy: Policy
) -> None:
    register(make_model(1), "m", policy)
    wider = policy.model_copy(
        update={"versioning": policy.versioning.model_copy(update={"interface": ("signature.inputs",)})}
    )
    assert register(make_model(2), "m", wider).semantic_version == "1.1.0"


def test_the_change_log_tells_figures_data_code_and_who_decided(make_model: MakeModel, policy: Policy) -> None:
    first = _learnt_from(make_model(1, metrics={"score": 0.8, "latency_ms": 20}), 1, 2)
    _claim(first, **{"lineage.git_commit": "a" * 40})
    register(first, "m", policy)
    promote("m", 1, "Ann", "good")
    second = _learnt_from(make_model(2, metrics={"score": 0.9, "latency_ms": 25}), 1, 2, 3)
    _claim(second, **{"lineage.git_commit": "b" * 40})
    MlflowClient().log_param(collect(second).run_id, "epochs", 30)
    MlflowClient().log_param(collect(second).run_id, "note", "one\n# two <script>")
    MlflowClient().log_param(collect(second).run_id, "seen", "![](http://example.org/p.png)")
    register(second, "m", policy)

    text = change_log("m")
    assert text.index("## 1.1.0") < text.index("## 1.0.0")
    newer, older = text.split("## 1.0.0")
    assert "- score: 0.8 → 0.9 (+0.1, better)" in newer
    assert "- latency_ms: 20 → 25 (+5, worse)" in newer
    assert "Data for training: streets " in newer
    assert (
        "Parameters: epochs unset → 30, note unset → one # two &lt;script>, "
        "seen unset → !\\[\\](http\\://example.org/p.png)\n"
    ) in newer
    assert f"Code: commit {'a' * 40} → {'b' * 40}" in newer
    assert "Gates passed; review pending." in newer
    assert "The first version of m. Gates passed; review approved by Ann; champion today." in older

    notes = release_notes("m", "2")
    assert (notes.follows, notes.change) == ("1.0.0", "retrained")
    (score,) = [each for each in notes.metrics if each.metric == "score"]
    assert (score.before, score.after, score.verdict) == (0.8, 0.9, "better")


def test_what_cannot_be_compared_is_said(make_model: MakeModel, policy: Policy) -> None:
    register(make_model(1), "m", policy)
    register(make_model(2), "m", policy)
    MlflowClient().delete_model_version_tag("m", "1", "evidence")
    assert "Not compared: version 1 of 'm' carries no evidence" in change_log("m")
    MlflowClient().delete_model_version_tag("m", "1", "semantic_version")
    assert "Without a semantic version, registered by other means: 1." in change_log("m")


def test_changelog_on_the_command_line(make_model: MakeModel, policy: Policy, tmp_path: Path) -> None:
    register(make_model(1), "m", policy)
    out = tmp_path / "CHANGELOG.md"
    assert CliRunner().invoke(main, ["changelog", "m", "--out", str(out)]).exit_code == 0
    assert out.read_text() == change_log("m")
    assert CliRunner().invoke(main, ["changelog", "m", "1"]).output == release_notes("m", "1").to_markdown()
    told = CliRunner().invoke(main, ["changelog", "nobody"])
    assert (told.exit_code, "there is no registered model 'nobody'" in told.output) == (1, True)


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with two commits."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    _git(folder, "init", "-q")
    _git(folder, "config", "user.name", "Ann")
    _git(folder, "config", "user.email", "ann@example.org")
    for message in ("one", "two"):
        _git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return folder


def test_a_git_tag_stands_on_the_recorded_commit(make_model: MakeModel, policy: Policy, checkout: Path) -> None:
    commit = _git(checkout, "rev-parse", "HEAD~1")
    register(_claim(make_model(1), **{"lineage.git_commit": commit, "lineage.git_dirty": "true"}), "m", policy)
    told = CliRunner().invoke(main, ["tag", "m", "1", "--repository", str(checkout)])
    assert (told.exit_code, told.output) == (0, "model/m/1.0.0\n")
    assert _git(checkout, "rev-parse", "model/m/1.0.0^{commit}") == commit
    assert _git(checkout, "cat-file", "-t", "model/m/1.0.0") == "tag", "annotated"
    assert "made with uncommitted changes" in _git(checkout, "tag", "-l", "-n20", "model/m/1.0.0")
    assert tag_commit("m", "1", checkout) == "model/m/1.0.0", "once more changes nothing"


def test_a_git_tag_that_stands_elsewhere_is_an_error(
    make_model: MakeModel, policy: Policy, checkout: Path
) -> None:
    register(_claim(make_model(1), **{"lineage.git_commit": _git(checkout, "rev-parse", "HEAD")}), "m", policy)
    _git(checkout, "tag", "model/m/1.0.0", "HEAD~1")
    with pytest.raises(VersioningError, match=r"the tag model/m/1\.0\.0 stands on commit .* never moved"):
        tag_commit("m", "1", checkout)
    assert _git(checkout, "rev-parse", "model/m/1.0.0") == _git(checkout, "rev-parse", "HEAD~1")


@pytest.mark.parametrize(
    ("name", "commit", "said"),
    [
        ("m", None, "carries no git commit"),
        ("m", "c" * 40, "which the repository 'checkout' does not hold"),
        # What git would take for a commit today, and for another one tomorrow; the tag would have been set.
        ("m", "HEAD~0", "'HEAD~0', which is no whole commit id"),
        ("two words", "HEAD", "git takes no tag 'model/two words/1.0.0'"),
    ],
)
def test_what_cannot_be_tagged_says_why(
    make_model: MakeModel, policy: Policy, checkout: Path, name: str, commit: str | None, said: str
) -> None:
    uri = make_model(1)
    run = collect(uri).run_id
    for key in ("lineage.git_commit", "mlflow.source.git.commit"):
        if key in MlflowClient().get_run(run).data.tags:
            MlflowClient().delete_tag(run, key)
    if commit is not None:
        known = _git(checkout, "rev-parse", commit) if commit == "HEAD" else commit
        _claim(uri, **{"lineage.git_commit": known})
    register(uri, name, policy)
    with pytest.raises(GovernanceError, match=said):
        tag_commit(name, "1", checkout)
    assert _git(checkout, "tag") == ""
