"""Resolve pyproject.toml into the hash-locked requirements files, and conda.yaml from the same answer.

    python requirements/lock.py            # resolve anew, keeping what still fits
    python requirements/lock.py --upgrade  # take the newest that fit

One resolution serves all four files: `dev.txt` is resolved first and constrains the smaller ones, so a version
means the same thing in training, serving and development.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
PYTHON = "3.11"

# file -> the extras of pyproject.toml it holds
FILES = {"dev": ["dev"], "training": ["train", "drift"], "serving": []}


def resolve(name: str, extras: list[str], *, upgrade: bool) -> None:
    command = [
        *("uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--generate-hashes"),
        *("--no-emit-package", "mlflow-camera-counting", "--no-emit-index-url", "--no-annotate"),
        *("--python-version", PYTHON, "--custom-compile-command", "make lock"),
        *("--output-file", f"requirements/{name}.txt"),
    ]
    for extra in extras:
        command += ["--extra", extra]
    if name != "dev":
        command += ["--constraint", "requirements/dev.txt"]
    if upgrade:
        command.append("--upgrade")
    subprocess.run(command, cwd=ROOT, check=True)


def pins(name: str) -> list[str]:
    """The `package==version ; marker` lines of a requirements file, without their hashes."""
    text = (FOLDER / f"{name}.txt").read_text()
    return re.findall(r"^([A-Za-z0-9._-]+==[^\\\n]+?)\s*\\?$", text, flags=re.MULTILINE)


def conda_yaml() -> str:
    """`conda.yaml`: what `mlflow run` installs, derived from requirements/training.txt.

    uv reads the override of pyproject.toml and so leaves opencv-python (libGL) out here as well.
    """
    lines = [
        "# Written by `make lock` from requirements/training.txt; do not edit.",
        "name: camera-counting",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python>={PYTHON},<3.15",
        "  - pip",
        "  - pip:",
        *(f'      - "{pin}"' for pin in pins("training")),
        "      - .",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for file, file_extras in FILES.items():
        resolve(file, file_extras, upgrade="--upgrade" in sys.argv)
    (ROOT / "conda.yaml").write_text(conda_yaml())
