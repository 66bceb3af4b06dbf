"""The lock files, conda.yaml and pyproject.toml must tell one story."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from camera_counting.errors import ArtifactError
from camera_counting.serving_requirements import serving_requirements

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(path: Path) -> set[tuple[str, str]]:
    return set(PIN.findall(path.read_text()))


def names(path: Path) -> set[str]:
    return {name for name, _ in pins(path)}


def conda_pins(root: Path) -> set[tuple[str, str]]:
    dependencies = yaml.safe_load((root / "conda.yaml").read_text())["dependencies"]
    lines = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    return set(PIN.findall("\n".join(lines)))


def test_conda_yaml_installs_exactly_the_training_lock(root: Path) -> None:
    assert conda_pins(root) == pins(root / "requirements" / "training.txt")


@pytest.mark.parametrize("smaller", ["serving", "training"])
def test_a_version_means_the_same_in_every_lock(root: Path, smaller: str) -> None:
    assert pins(root / "requirements" / f"{smaller}.txt") <= pins(root / "requirements" / "dev.txt")


@pytest.mark.parametrize("heavy", ["torch", "torchvision", "ultralytics", "evidently", "opencv-python", "ray"])
def test_the_serving_lock_stays_light(root: Path, heavy: str) -> None:
    assert heavy not in names(root / "requirements" / "serving.txt")
    assert heavy == "ray" or heavy in names(root / "requirements" / "dev.txt"), "the check would not see it"


@pytest.mark.parametrize("lock", ["serving", "training", "dev"])
def test_opencv_never_links_libgl(root: Path, lock: str) -> None:
    text = (root / "requirements" / f"{lock}.txt").read_text()
    assert "opencv-python-headless==" in text
    for line in re.findall(r"^opencv-python==.*$", text, re.MULTILINE):
        assert "sys_platform == 'never'" in line


@pytest.mark.parametrize("lock", ["serving", "training", "dev"])
def test_every_pin_carries_a_hash_and_no_file_names_a_registry(root: Path, lock: str) -> None:
    text = (root / "requirements" / f"{lock}.txt").read_text()
    entries = re.split(r"\n(?=[A-Za-z])", text.split("\n", 2)[2])
    without = [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert without == []
    assert "://" not in text


def test_the_locks_answer_pyproject(root: Path) -> None:
    """A dependency added to pyproject.toml without `make lock` shows here."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0].lower() for line in project["dependencies"]}
    assert wanted <= {name.lower() for name in names(root / "requirements" / "serving.txt")}
    for extra in project["optional-dependencies"].values():
        wanted |= {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0].lower() for line in extra}
    wanted.discard("mlflow-camera-counting")
    assert wanted <= {name.lower() for name in names(root / "requirements" / "dev.txt")}


def test_this_environment_is_the_locked_one(root: Path) -> None:
    """Whoever runs the tests runs what the lock says, not what was installed by hand."""
    from importlib.metadata import version

    locked = dict(pins(root / "requirements" / "dev.txt"))
    for name in ("mlflow", "openvino", "ultralytics", "evidently", "pyarrow"):
        assert version(name) == locked[name], sys.executable


def test_a_saved_model_asks_for_exactly_the_serving_lock(root: Path) -> None:
    """As far as it concerns this Python on this system."""
    text = (root / "requirements" / "serving.txt").read_text()
    lines = re.findall(r"^([A-Za-z0-9._-]+==[^\\\n]+?)\s*\\?$", text, re.MULTILINE)
    locked = [Requirement(line) for line in lines]
    here = {f"{pin.name}{pin.specifier}" for pin in locked if pin.marker is None or pin.marker.evaluate()}
    assert set(serving_requirements()) == here


def test_what_is_not_installed_cannot_be_pinned() -> None:
    with pytest.raises(ArtifactError, match="needs no-such-package, which is not installed here"):
        serving_requirements(["no-such-package"])
