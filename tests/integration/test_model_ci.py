"""`make model-ci` and the workflow that runs it: what changes is run, judged for real, and told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

from pipelines import model_ci
from pipelines.ci.changes import LastRun, changed, digests_of, read_last, write_last
from pipelines.ci.recipe import load_recipe
from pipelines.ci.summary import MARKER, stopped_summary
from pipelines.datasets.errors import DatasetError

RECIPE = Path(model_ci.__file__).parent / "ci" / "recipe.yaml"


def _recipe(folder: Path, **changes: Any) -> Path:
    """The recipe with some keys changed, in a folder of its own with what it names."""
    folder.mkdir(exist_ok=True)
    content = {**yaml.safe_load(RECIPE.read_text()), "texts": str(RECIPE.parent.parent / "model_card.yaml")}
    shutil.copy(RECIPE.with_name("policy.yaml"), folder)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


@pytest.mark.slow
def test_make_model_ci_from_data_to_a_judged_version(tmp_path: Path, root: Path) -> None:
    """The Makefile's own command, in a process of its own; then once more, when nothing has changed."""
    command = _make_command(root)
    assert command[1:3] == ["-m", "pipelines.model_ci"]
    workspace = tmp_path / "ci"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root / 'plugins'}{os.pathsep}{root}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'production.db'}",
    }
    # as `mlflow run -e model_ci` starts it
    environment |= {"MLFLOW_RUN_ID": "0" * 32, "MLFLOW_EXPERIMENT_ID": "7"}

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, *command[1:-1], str(workspace)]
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
        )

    first = run()
    assert first.returncode == 0, first.stdout + first.stderr
    summary = (workspace / "summary.md").read_text()
    assert summary.startswith(f"{MARKER}\n## Model CI: model-ci 1.0.0 passed all ")
    assert "Changed since the last run: data, code, configuration." in summary
    assert summary in first.stdout

    store = f"sqlite:///{workspace / 'store' / 'mlflow.db'}"
    client = MlflowClient(store, registry_uri=store)
    (version,) = client.search_model_versions("name='model-ci'")
    assert (version.tags["semantic_version"], version.tags["gates"]) == ("1.0.0", "passed")
    assert version.tags["artifact_digest"] in summary
    for name in ("model_card.md", "model_card.html", "model_card.json", "CHANGELOG.md"):
        card = client.download_artifacts(version.run_id, f"model_card/model-ci-1.0.0/{name}")
        assert Path(card).stat().st_size > 100
    assert not (tmp_path / "production.db").exists(), "nothing goes to the store that the environment names"
    assert not (tmp_path / "mlruns").exists()

    again = run()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing changed since the last run, which passed; --force true" in again.stdout
    assert (workspace / "summary.md").read_text() == summary
    assert [v.version for v in client.search_model_versions("name='model-ci'")] == [version.version]


def test_a_step_that_stops_is_told_and_leaves_the_last_run_as_it_was(tracking: str, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path / "recipe", prepare={"source": str(tmp_path / "nowhere"), "format": "yolo"})
    workspace = tmp_path / "ci"
    with pytest.raises((DatasetError, OSError)):
        model_ci.run(model_ci.ModelCiSettings(workspace=workspace, recipe=recipe))
    told = (workspace / "summary.md").read_text()
    assert told.startswith(f"{MARKER}\n## Model CI: **stopped in look for changes**")
    assert "nowhere" in told

    (tmp_path / "nowhere" / "images").mkdir(parents=True)
    (tmp_path / "nowhere" / "data.yaml").write_text("names: [person]\ntrain: images\n")
    with pytest.raises((DatasetError, OSError, ValueError)):
        model_ci.run(model_ci.ModelCiSettings(workspace=workspace, recipe=recipe))
    assert (workspace / "summary.md").read_text().startswith(f"{MARKER}\n## Model CI: **stopped in prepare**")
    assert not (workspace / "last.json").exists()
    assert mlflow.get_tracking_uri() == tracking, "what was set before is set again"


def test_a_run_that_failed_is_never_taken_for_done(tracking: str, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path / "recipe", prepare={"pictures": 3, "val": 0, "test": 0, "clips": 0})
    workspace = tmp_path / "ci"
    workspace.mkdir()
    digests = digests_of(load_recipe(recipe), recipe, model_ci._ROOT)
    write_last(workspace / "last.json", LastRun(digests=digests, passed=True, figures={}, summary="as before\n"))
    done = model_ci.run(model_ci.ModelCiSettings(workspace=workspace, recipe=recipe))
    assert (done.skipped, done.passed, done.summary.read_text()) == (True, True, "as before\n")
    write_last(workspace / "last.json", LastRun(digests=digests, passed=False, figures={}, summary="as before\n"))
    with pytest.raises(Exception, match=r"test|val|split"):  # it runs, and this recipe cannot
        model_ci.run(model_ci.ModelCiSettings(workspace=workspace, recipe=recipe))


def test_each_kind_of_change_is_noticed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    code = ("plugins/a/b.py", "plugins/a/b.json", "pipelines/c.py", "pipelines/c.json", "pipelines/card/d.j2")
    configuration = ("pipelines/p.yaml", "requirements/x.txt", "pyproject.toml", "conda.yaml", "MLproject")
    ours = ("Makefile", ".ci/run", ".github/workflows/model-ci.yml")
    for name in (*code, *configuration, *ours):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("one\n")
    path = _recipe(tmp_path / "recipe")
    before = digests_of(load_recipe(path), path, tree)
    last = LastRun(digests=before, passed=True, figures={}, summary="")
    assert changed(before, None) == ("data", "code", "configuration")
    assert changed(digests_of(load_recipe(path), path, tree), last) == ()

    for name in ("Makefile", ".github/workflows/model-ci.yml", "requirements/x.txt"):
        (tree / name).write_text("two\n")
        assert changed(digests_of(load_recipe(path), path, tree), last) == ("configuration",), name
        (tree / name).write_text("one\n")
    (tree / "plugins" / "a" / "b.py").write_text("two\n")
    assert changed(digests_of(load_recipe(path), path, tree), last) == ("code",)
    (tree / "plugins" / "a" / "b.py").rename(tree / "plugins" / "a" / "c.py")
    assert changed(digests_of(load_recipe(path), path, tree), last) == ("code",)
    (tree / "plugins" / "a" / "c.py").rename(tree / "plugins" / "a" / "b.py")
    (tree / "plugins" / "a" / "b.py").write_text("one\n")
    assert changed(digests_of(load_recipe(path), path, tree), last) == ()
    (path.parent / "policy.yaml").write_text("format_version: 1\n")
    assert changed(digests_of(load_recipe(path), path, tree), last) == ("configuration",)
    path = _recipe(tmp_path / "recipe", prepare={"pictures": 7})
    assert changed(digests_of(load_recipe(path), path, tree), last) == ("data", "configuration")

    (tree / "conda.yaml").unlink()
    with pytest.raises(ValueError, match=r"the recipe watches conda\.yaml, which no file in .* matches"):
        digests_of(load_recipe(path), path, tree)


def test_what_the_last_run_left_may_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "last.json").write_text('{"digests": {')
    assert read_last(tmp_path / "last.json") is None


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.txt").write_text("the only copy")
    with pytest.raises(ValueError, match="holds something else than an earlier model CI run"):
        model_ci.run(model_ci.ModelCiSettings(workspace=tmp_path))
    assert (tmp_path / "store" / "thesis.txt").read_text() == "the only copy"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"epoch": 1}}, "TrainSettings: epoch: Extra inputs"),
        ({"prepare": {"pictures": 0}}, "PrepareSettings: pictures: Input should be greater than 0"),
        ({"gates": []}, "Recipe: gates: Extra inputs"),
    ],
)
def test_a_recipe_that_no_step_understands_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_recipe(_recipe(tmp_path / "recipe", **changes))


def test_a_key_that_stands_twice_in_a_recipe_is_refused(tmp_path: Path) -> None:
    path = _recipe(tmp_path / "recipe")
    path.write_text(path.read_text() + "policy: /another/policy.yaml\n")
    with pytest.raises(ValueError, match=r"recipe\.yaml: no valid YAML: line .* 'policy' stands twice"):
        load_recipe(path)


def test_a_summary_can_neither_grow_without_end_nor_call_anybody() -> None:
    text = stopped_summary("train", "see @everybody <img src=x> | " + "x" * 100_000)
    assert len(text) < 65_536
    assert "@everybody" not in text
    assert "<img" not in text.replace("\\<", "")


# The workflow and the Makefile must tell one story.


@pytest.fixture(scope="module")
def workflow(root: Path) -> dict[str, Any]:
    content = yaml.safe_load((root / ".github" / "workflows" / "model-ci.yml").read_text())
    content["on"] = content.pop(True)  # YAML 1.1 reads the key `on` as true
    return dict(content)


def _make_command(root: Path) -> list[str]:
    """What `make model-ci` types."""
    text = (root / "Makefile").read_text()
    (line,) = re.findall(r"^model-ci: install .*\n\t(.*)$", text, re.MULTILINE)
    assert "MODEL_CI ?= .model-ci\n" in text
    return str(line).split()


def test_the_workflow_runs_what_make_runs(workflow: dict[str, Any], root: Path) -> None:
    steps = workflow["jobs"]["lifecycle"]["steps"]
    assert [step["run"] for step in steps if step.get("name") == "prepare to register"] == ["make model-ci"]
    assert _make_command(root) == ["$(BIN)/python", "-m", "pipelines.model_ci", "--workspace", "$(MODEL_CI)"]
    told = [step["run"] for step in steps if step.get("name") == "summary"]
    assert told == ['cat .model-ci/summary.md >> "$GITHUB_STEP_SUMMARY"']
    assert model_ci.ModelCiSettings().workspace == Path(".model-ci")
    (comment,) = [step["run"] for step in workflow["jobs"]["comment"]["steps"] if "run" in step]
    assert f'startswith("{MARKER}")' in comment


def test_the_workflow_starts_on_whatever_the_recipe_watches_and_on_nothing_else(workflow: dict[str, Any]) -> None:
    watch = load_recipe(RECIPE).watch
    for event in ("pull_request", "push"):
        assert sorted(workflow["on"][event]["paths"]) == sorted([*watch.code, *watch.configuration])


# What none of the steps reads: its change makes no other model, and no other verdict.
_UNREAD = re.compile(
    r"(docs|tests|benchmarks|notebooks|serving)/|.*\.md$|.*/py\.typed$|LICENSE$|\.gitignore$|\.github/workflows/(?!model-ci)"
    r"|plugins/model_governance/governed/pages/(static|templates)/"  # what a reviewer sees in a browser
)


def test_all_that_decides_what_the_steps_do_is_watched(root: Path) -> None:
    """Held against the files that there are: whoever adds one has to say on which side it stands."""
    if not (root / ".git").exists():
        pytest.skip("no checkout, so nobody can tell which files belong to it")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    files = {name for name in listed.stdout.split("\0") if name and (root / name).exists()}
    watch = load_recipe(RECIPE).watch
    watched = {
        path.relative_to(root).as_posix()
        for pattern in (*watch.code, *watch.configuration)
        for path in root.glob(pattern)
    }
    assert {name for name in files - watched if not _UNREAD.match(name)} == set()
    assert {"Makefile", ".ci/run", "requirements/dev.txt", "conda.yaml", "pyproject.toml"} <= files & watched
    assert not {name for name in watched if _UNREAD.match(name)}


def test_the_workflow_holds_no_more_rights_than_it_needs(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["lifecycle"]["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["comment"]["permissions"] == {"pull-requests": "write"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            # The job that may write to the pull request runs none of its code.
            assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert "${{" not in step.get("run", ""), "what a stranger wrote is never part of a script"
    writing = [step.get("uses", "") for step in workflow["jobs"]["comment"]["steps"]]
    assert not any("checkout" in use for use in writing)
    (checkout,) = [s for s in workflow["jobs"]["lifecycle"]["steps"] if "checkout" in s.get("uses", "")]
    assert checkout["with"] == {"persist-credentials": False}


def test_the_last_run_is_the_file_that_the_workflow_keeps(workflow: dict[str, Any], tmp_path: Path) -> None:
    (cache,) = [s for s in workflow["jobs"]["lifecycle"]["steps"] if "cache@" in s.get("uses", "")]
    assert cache["with"]["path"] == ".model-ci/last.json"
    write_last(tmp_path / "last.json", LastRun(digests={}, passed=True, figures={"a": 1.5}, summary="s"))
    assert json.loads((tmp_path / "last.json").read_text())["figures"] == {"a": 1.5}
