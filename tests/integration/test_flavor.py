"""The flavour: saved, logged, registered, loaded; with the code it carries and the packages it asks for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement

import camera_counting
from camera_counting.errors import ArtifactError, DetectorError
from camera_counting.serving_requirements import _NAMES, serving_requirements
from tests.toy_detector import build, picture

PICTURE = picture(640, 480, [("person", 40, 60, 90, 160), ("car", 300, 300, 420, 380)])


def png() -> bytes:
    return cv2.imencode(".png", PICTURE[..., ::-1])[1].tobytes()


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("detector") / "toy.onnx")


@pytest.fixture(scope="module")
def saved(detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    camera_counting.save_model(detector, folder)
    return folder


def test_a_saved_model_counts(saved: Path) -> None:
    model = camera_counting.load_model(saved)
    (count,) = model.count(PICTURE)
    assert count.counts == {"person": 1, "car": 1}
    assert model.names == ("person", "car")
    assert model.confidence == 0.25
    assert (model.name, model.version) == (None, None)
    assert re.fullmatch("[0-9a-f]{64}", model.digest)


def test_loading_a_folder_needs_neither_mlflow_nor_the_other_runtime(saved: Path) -> None:
    program = f"""
        import sys, camera_counting
        camera_counting.load_model({str(saved)!r}).count({str(saved / "x.png")!r})
        heavy = {{"mlflow", "pandas", "onnxruntime", "torch", "ultralytics", "scipy", "av", "rich", "matplotlib"}}
        print(sorted(heavy & set(sys.modules)))
    """
    (saved.parent / "x.png").write_bytes(png())
    program = program.replace(str(saved / "x.png"), str(saved.parent / "x.png"))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_logged_and_registered_it_knows_its_name_and_tells_the_log(
    detector: Path, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    with mlflow.start_run():
        info = camera_counting.log_model(
            detector,
            "people",
            registered_model_name="people",
            params={"source": "toy"},
            metadata={"site": "north"},
        )
        camera_counting.log_model(detector, "people", registered_model_name="people", confidence=0.99)
    assert info.model_uri.startswith("models:/m-")
    assert info.registered_model_version == 1
    assert info.metadata == {"site": "north"}

    # two versions in one process
    one, two = (camera_counting.load_model(f"models:/people/{version}") for version in (1, 2))
    assert [(model.name, model.version) for model in (one, two)] == [("people", "1"), ("people", "2")]
    assert one.digest != two.digest
    assert [model.count(PICTURE)[0].total for model in (one, two)] == [2, 0]

    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path / "log"))
    mlflow.MlflowClient().set_registered_model_alias("people", "champion", "1")
    served = mlflow.pyfunc.load_model("models:/people@champion")
    table = pd.DataFrame({"image": [png()], "camera_id": ["gate-7"], "timestamp": ["2026-03-01T12:00:00+01:00"]})
    answer = served.predict(table)
    assert answer["counts"].tolist() == [{"person": 1, "car": 1}]
    row = camera_counting.read_predictions(str(tmp_path / "log")).iloc[0]
    assert (row["model_name"], row["model_version"], row["model_digest"]) == ("people", "1", one.digest)
    assert (row["camera_id"], row["total"], row["kind"]) == ("gate-7", 2, "image")
    assert row["time"] == pd.Timestamp("2026-03-01T11:00:00Z")
    assert (row["width"], row["height"]) == (640, 480)
    assert row["confidence_min"] == pytest.approx(0.95, abs=0.01)
    grey = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)
    assert row["brightness"] == pytest.approx(grey.mean(), abs=0.01)
    assert row["contrast"] == pytest.approx(grey.std(), abs=0.01)
    assert row["latency_ms"] > 0


def test_a_failed_request_leaves_nothing_in_the_log(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pyfunc

    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path / "log"))
    served = mlflow.pyfunc.load_model(str(saved))
    with pytest.raises(ValueError, match="row 1: "):
        served.predict(pd.DataFrame({"image": [png(), b"no picture"]}))
    assert len(camera_counting.read_predictions(str(tmp_path / "log"))) == 0
    table = served.predict(pd.DataFrame({"image": [png(), b"no picture"]}), params={"on_error": "skip"})
    assert table["total"].tolist() == [2, None]
    assert len(camera_counting.read_predictions(str(tmp_path / "log"))) == 1


def test_an_altered_model_is_refused_everywhere(detector: Path, tmp_path: Path) -> None:
    import mlflow.pyfunc

    camera_counting.save_model(detector, tmp_path / "model")
    file = tmp_path / "model" / "camera_counting" / "detector.onnx"
    file.write_bytes(file.read_bytes() + b"\0")
    for load in (camera_counting.load_model, mlflow.pyfunc.load_model):
        with pytest.raises(ArtifactError, match=r"detector\.onnx was altered"):
            load(str(tmp_path / "model"))


def test_a_detector_put_in_place_of_the_one_that_was_logged_is_refused(detector: Path, tmp_path: Path) -> None:
    """The manifest's digest can be computed anew by whoever can write the folder; MLmodel's is another one."""
    import mlflow.pyfunc

    camera_counting.save_model(detector, tmp_path / "model")
    camera_counting.save_model(detector, tmp_path / "other", confidence=0.99)
    shutil.rmtree(tmp_path / "model" / "camera_counting")
    shutil.copytree(tmp_path / "other" / "camera_counting", tmp_path / "model" / "camera_counting")
    for load in (camera_counting.load_model, mlflow.pyfunc.load_model):
        with pytest.raises(ArtifactError, match="MLmodel was written for a detector with the digest"):
            load(str(tmp_path / "model"))


def test_a_model_saved_by_newer_code_is_run_with_a_warning(
    saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    camera_counting.load_model(saved)
    assert not caplog.records
    shutil.copytree(saved, tmp_path / "newer")
    text = (tmp_path / "newer" / "MLmodel").read_text()
    (tmp_path / "newer" / "MLmodel").write_text(
        text.replace(f"code_version: {camera_counting.__version__}", "code_version: 99.1.0")
    )
    camera_counting.load_model(tmp_path / "newer")
    (record,) = caplog.records
    assert f"saved by version 99.1.0 of this package and is run by the older {camera_counting.__version__}" in (
        record.getMessage()
    )


def test_the_packages_version_is_the_distributions(root: Path) -> None:
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert camera_counting.__version__ == declared


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"confidence": 1.2}, ArtifactError, "from 0 to 1"),
        ({"iou": 0}, ArtifactError, "from 0 to 1"),
        ({"classes": ["one"]}, DetectorError, "2 classes in its output, but 1 name was given"),
        ({"head": "yolox"}, DetectorError, "does not fit the head"),
        ({"confidense": 0.6}, TypeError, "unexpected keyword argument 'confidense'"),
        ({"code_paths": ["x.py"]}, TypeError, "unexpected keyword argument 'code_paths'"),
        ({"pip_requirements": ["a"], "extra_pip_requirements": ["b"]}, ArtifactError, "got both"),
    ],
)
def test_what_cannot_work_is_not_saved(
    detector: Path, tmp_path: Path, options: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        camera_counting.save_model(detector, tmp_path / "model", **options)
    assert not (tmp_path / "model").exists()


def test_a_misspelt_keyword_logs_nothing(detector: Path, tracking: str) -> None:
    import mlflow

    with pytest.raises(TypeError, match=r"log_model does not know confidense; expected some of .*confidence"):
        camera_counting.log_model(detector, confidense=0.6)
    assert mlflow.search_logged_models(experiment_ids=["0"], output_format="list") == []


def test_loaded_by_its_id_a_model_has_no_registered_name(detector: Path, tracking: str) -> None:
    info = camera_counting.log_model(detector, registered_model_name="people")
    # MLflow notes the name in the very folder of the model where artifacts are local
    assert camera_counting.load_model("models:/people/1").name == "people"
    assert camera_counting.load_model(info.model_uri).name is None


def test_other_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}}")
    with pytest.raises(ArtifactError, match="has the flavours sklearn; expected camera_counting"):
        camera_counting.load_model(tmp_path)


def test_the_artefact_holds_data_and_source_and_nothing_that_runs_by_itself(saved: Path) -> None:
    files = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert {"MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml", "input_example.json"} <= files
    assert {path.rsplit(".", 1)[-1] for path in files if path.startswith("camera_counting/")} == {"json", "onnx"}
    assert "code/camera_counting_loader.py" in files
    carried = {path.removeprefix("code/carried/") for path in files if path.startswith("code/carried/")}
    package = Path(camera_counting.__file__).parent
    assert carried == {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not [path for path in files if path.endswith((".pkl", ".pyc", ".pt"))]


def test_the_requirements_serve_and_do_not_train(saved: Path, root: Path) -> None:
    lines = (saved / "requirements.txt").read_text().split()
    names = {Requirement(line).name for line in lines}
    assert all(re.fullmatch(r"[a-z0-9-]+==[^=<>]+", line) for line in lines)
    assert {"mlflow-skinny", "openvino", "numpy", "opencv-python-headless", "uvicorn", "fastapi"} <= names
    assert not names & {
        "mlflow",
        "torch",
        "torchvision",
        "ultralytics",
        "onnxruntime",
        "opencv-python",
        "evidently",
    }
    conda = yaml.safe_load((saved / "conda.yaml").read_text())
    assert conda["dependencies"][-1] == {"pip": lines}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert conda["dependencies"][0] == f"python={python}"
    assert yaml.safe_load((saved / "python_env.yaml").read_text())["python"] == python
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert sorted(Requirement(line).name for line in declared) == sorted(_NAMES)
    assert "onnxruntime" in {Requirement(line).name for line in serving_requirements(["onnxruntime"])}


def test_the_input_example_is_a_request_that_works(saved: Path) -> None:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(saved))
    answer = model.predict(model.input_example)
    assert answer["counts"].tolist() == [{"person": 1, "car": 1}]
    assert "dataframe_split" in json.loads((saved / "serving_input_example.json").read_text())


WITHOUT_THE_PACKAGE = """
    import sys
    sys.path[:] = [path for path in sys.path if not path.startswith({root!r} + "/plugins") and path != {root!r}]
    sys.path.insert(0, {site!r})  # packages alone: no .pth file, so no editable install
    {before}
    import mlflow.pyfunc, pandas as pd
    model = mlflow.pyfunc.load_model({model!r})
    {after}
    print(model.predict(pd.DataFrame({{"image": [open({image!r}, "rb").read()]}}))["counts"].tolist())
    print(sys.modules["camera_counting"].__file__)
"""


def counted_without_the_package(model: Path, root: Path, cwd: Path, before: str = "", after: str = "") -> Path:
    """Count in a process that finds only what is installed; gives the home of the code that counted."""
    (model.parent / "x.png").write_bytes(png())
    program = textwrap.dedent(WITHOUT_THE_PACKAGE).format(
        root=str(root),
        site=next(path for path in sys.path if path.endswith("site-packages")),
        model=str(model),
        image=str(model.parent / "x.png"),
        before=before,
        after=after,
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, timeout=180, cwd=cwd, env=kept
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts, home = done.stdout.splitlines()[-2:]
    assert counts == "[{'person': 1, 'car': 1}]"
    return Path(home).parent


@pytest.mark.slow
@pytest.mark.parametrize("installed", [False, True])
def test_the_carried_code_serves_where_nothing_is_installed_and_there_alone(
    saved: Path, tmp_path: Path, root: Path, installed: bool
) -> None:
    model = Path(shutil.copytree(saved, tmp_path / "model"))
    before = f"sys.path.append({str(root / 'plugins')!r})" if installed else ""
    # the working directory holds the model's data, in a folder that could pass for a package
    home = counted_without_the_package(model, root, cwd=model, before=before)
    assert home == (root / "plugins" if installed else model / "code" / "carried") / "camera_counting"
    # and loading it there has written nothing that no digest vouches for
    assert not [path for path in model.rglob("*") if path.suffix == ".pyc" or path.name == "__pycache__"]


@pytest.mark.slow
def test_the_folder_may_be_gone_once_the_model_is_loaded(saved: Path, tmp_path: Path, root: Path) -> None:
    model = Path(shutil.copytree(saved, tmp_path / "model"))
    home = counted_without_the_package(
        model, root, cwd=tmp_path, after=f"import shutil; shutil.rmtree({str(model)!r})"
    )
    assert home == model / "code" / "carried" / "camera_counting"


def test_zones_count_the_feet(saved: Path) -> None:
    from camera_counting.scene import Scene

    # the person's feet are at (65, 160), the car's at (360, 380)
    scene = Scene.from_dict(
        {
            "zones": [
                {"name": "head", "polygon": [[0, 0], [200, 0], [200, 150], [0, 150]]},
                {"name": "feet", "polygon": [[0, 150], [200, 150], [200, 200], [0, 200]]},
                {"name": "cars", "polygon": [[0, 0], [640, 0], [640, 480], [0, 480]], "classes": ["car"]},
            ]
        }
    )
    model = camera_counting.load_model(saved)
    (count,) = model.count(PICTURE, scene=scene)
    assert count.zones == {"head": {"person": 0, "car": 0}, "feet": {"person": 1, "car": 0}, "cars": {"car": 1}}
    # the same scene on a picture of another size, where it says on which it was drawn
    sized = Scene.from_dict({**scene.to_dict(), "size": [640, 480]})
    (half,) = model.count(np.ascontiguousarray(PICTURE[::2, ::2]), scene=sized)
    assert half.zones == count.zones


def test_the_command_line_imports_and_prints_the_uri(
    detector: Path, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from camera_counting.cli import main

    (tmp_path / "names.txt").write_text("walker\nvan\n")
    done = CliRunner().invoke(
        main, ["import", str(detector), "--labels", str(tmp_path / "names.txt"), "--register", "walkers"]
    )
    assert done.exit_code == 0, done.output
    uri = done.stdout.strip().splitlines()[-1]
    assert uri.startswith("models:/m-")
    assert camera_counting.load_model(uri).names == ("walker", "van")
    assert camera_counting.load_model("models:/walkers/1").count(PICTURE)[0].counts == {"walker": 1, "van": 1}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["import", "nowhere.onnx"], "there is no such file"),
        (["import", "{toy}", "--labels", "nowhere.txt"], 'expected labels to be "coco"'),
        (["import", "{toy}", "--head", "ssd"], "expected a head of"),
        (["import", "{toy}", "--confidence", "7"], "not in the range"),
    ],
)
def test_the_command_line_says_what_is_wrong_in_one_sentence(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    from click.testing import CliRunner

    from camera_counting.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    done = CliRunner().invoke(main, [argument.format(toy=detector) for argument in arguments])
    assert done.exit_code == 2
    assert reason in done.stderr
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []  # and leaves no run behind


def test_the_command_lines_help_is_quick_to_import() -> None:
    program = (
        "import sys, camera_counting.cli; print(sorted({'mlflow', 'numpy', 'cv2', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_had() -> None:
    for name in camera_counting.__all__:
        assert getattr(camera_counting, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = camera_counting.nothing
