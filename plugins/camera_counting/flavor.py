"""The MLflow flavour `camera_counting`: save, log and load a detector as a model that counts.

<model>/
├── MLmodel, conda.yaml, python_env.yaml, requirements.txt, input_example.json
├── camera_counting/                 model.json and the detector (see artifact.py)
└── code/
    ├── camera_counting_loader.py    (see carried_loader.py)
    └── carried/camera_counting/     this package, for machines without it
"""

from __future__ import annotations

import inspect
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from packaging.version import Version

from camera_counting import __version__
from camera_counting.artifact import Artifact, read_artifact, write_artifact
from camera_counting.detectors import GraphDetector, identify, open_detector
from camera_counting.errors import ArtifactError
from camera_counting.model import CountingModel

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature
    from mlflow.models.model import ModelInfo

    from camera_counting.scoring.pyfunc import CountingPyfunc

__all__ = [
    "FLAVOR_NAME",
    "_load_pyfunc",
    "artifact_of",
    "detector_of",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]

_logger = logging.getLogger(__name__)

FLAVOR_NAME = "camera_counting"
_DATA = "camera_counting"
_CODE = "code"
_LOADER = "camera_counting_loader"


def get_default_pip_requirements(runtimes: Sequence[str] = ("openvino",)) -> list[str]:
    """Pinned requirements of a machine that serves; `runtimes` are those that ran the detector."""
    from camera_counting.serving_requirements import serving_requirements

    return serving_requirements(() if "openvino" in runtimes else tuple(runtimes))


def get_default_conda_env(requirements: Sequence[str] | None = None) -> dict[str, Any]:
    """The environment of a machine that serves, as conda reads it."""
    from camera_counting.serving_requirements import conda_environment

    return conda_environment(get_default_pip_requirements() if requirements is None else requirements)


def save_model(
    detector: str | Path,
    path: str | Path,
    *,
    classes: Sequence[str] | str | Path | None = None,
    confidence: float = 0.25,
    iou: float = 0.7,
    head: str | None = None,
    size: tuple[int, int] | None = None,
    signature: ModelSignature | None = None,
    input_example: Any = None,
    pip_requirements: Sequence[str] | None = None,
    extra_pip_requirements: Sequence[str] | None = None,
    metadata: dict[str, Any] | None = None,
    mlflow_model: Model | None = None,
    validate_serving_input: bool = False,
) -> None:
    """Save a detector as an MLflow model folder.

    The detector is opened and run once before anything is written, so a folder that was written loads.

    Parameters
    ----------
    detector : str or Path
        .onnx, OpenVINO .xml, or a folder with one of them.
    path : str or Path
        Folder of the new model; must not exist or be empty.
    classes : sequence of str, str or Path, optional
        Names in the order of the outputs, "coco", or a file of names; None reads the detector's metadata.
    confidence, iou : float
        Score a detection needs; overlap above which two boxes of a class are one. From 0 to 1.
    head : str, optional
        One of `camera_counting.detectors.HEADS`, where the graph does not tell.
    size : (int, int), optional
        Width and height of the input, for a graph that leaves them free.
    signature, input_example, pip_requirements, extra_pip_requirements, metadata, mlflow_model
        As for any MLflow flavour; by default made here. `input_example=False` leaves the example out.
    validate_serving_input : bool
        MLflow hands it on to every flavour. It makes no difference: the detector is run in any case.

    Raises
    ------
    DetectorError
        Where the detector is of no known kind, or cannot be run here.
    ArtifactError
        Where the folder is not empty, a threshold makes no sense, or requirements are given in two ways.
    """
    from mlflow import pyfunc
    from mlflow.models import Model

    from camera_counting.serving_requirements import write_environment

    path = Path(path)
    if path.exists() and any(path.iterdir()):
        raise ArtifactError(f"{path} is not empty; expected a new folder for the model")
    if not 0 <= confidence <= 1 or not 0 < iou <= 1:
        raise ArtifactError(f"expected confidence and iou from 0 to 1, got {confidence} and {iou}")
    if pip_requirements is not None and extra_pip_requirements is not None:
        raise ArtifactError(
            "expected pip_requirements (all that is needed) or extra_pip_requirements (what comes on top of the "
            "defaults), got both; add the extra ones to pip_requirements"
        )
    known = identify(detector, classes=classes, head=head, size=size)
    path.mkdir(parents=True, exist_ok=True)
    manifest = write_artifact(
        path / _DATA,
        known.file,
        classes=known.names,
        confidence=confidence,
        iou=iou,
        head=known.head.name,
        spec=known.spec,
        runtimes=known.runtimes,
    )
    _carry_code(path / _CODE)

    model = mlflow_model if mlflow_model is not None else Model()
    _describe(model, path, signature, input_example)
    if metadata is not None:
        model.metadata = metadata
    model.add_flavor(
        FLAVOR_NAME,
        data=_DATA,
        format_version=manifest.format_version,
        digest=manifest.digest,
        code_version=__version__,
        head=manifest.head,
        classes=list(manifest.classes),
        input_size=[manifest.input.width, manifest.input.height],
    )
    requirements = (
        list(pip_requirements)
        if pip_requirements is not None
        else [*get_default_pip_requirements(manifest.runtimes), *(extra_pip_requirements or ())]
    )
    pyfunc.add_to_model(
        model,
        loader_module=_LOADER,
        data=_DATA,
        code=_CODE,
        conda_env="conda.yaml",
        python_env="python_env.yaml",
    )
    model.model_size_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    model.save(str(path / "MLmodel"))
    write_environment(path, requirements)


def log_model(
    detector: str | Path,
    name: str = "model",
    *,
    classes: Sequence[str] | str | Path | None = None,
    confidence: float = 0.25,
    iou: float = 0.7,
    head: str | None = None,
    registered_model_name: str | None = None,
    **kwargs: Any,
) -> ModelInfo:
    """Log a detector as an MLflow model of the active run; arguments as for `save_model`.

    Parameters
    ----------
    name : str
        Name of the logged model.
    registered_model_name : str, optional
        Registers a version of this name, too.
    **kwargs
        Those of `save_model`, and those of every MLflow flavour's `log_model` (`params`, `tags`, `metadata`,
        `model_type`, `step`, `await_registration_for`, ...).

    Raises
    ------
    TypeError
        Where neither of them knows a keyword; nothing is logged then.
    """
    from mlflow.models import Model

    known = {*inspect.signature(Model.log).parameters, *inspect.signature(save_model).parameters}
    known -= {"kwargs", "flavor", "artifact_path", "path", "mlflow_model", "validate_serving_input"}
    if unknown := kwargs.keys() - known:
        raise TypeError(
            f"log_model does not know {', '.join(sorted(unknown))}; expected some of {', '.join(sorted(known))}"
        )
    info: ModelInfo = Model.log(
        artifact_path=None,
        name=name,
        flavor=sys.modules[__name__],
        registered_model_name=registered_model_name,
        detector=detector,
        classes=classes,
        confidence=confidence,
        iou=iou,
        head=head,
        # save_model has run the detector already; and an example must not reach the prediction log
        validate_serving_input=False,
        **kwargs,
    )
    return info


def load_model(model_uri: str | Path, *, runtime: str | None = None, threads: int | None = None) -> CountingModel:
    """Load a model to count with.

    Parameters
    ----------
    model_uri : str or Path
        A folder, or any MLflow URI: `models:/people/3`, `models:/people@champion`, `runs:/...`.
    runtime : "openvino" or "onnxruntime", optional
        None takes CAMERA_COUNTING_RUNTIME, else the fastest that is installed and ran the model when it was saved.
    threads : int, optional
        Threads of one inference; None takes all cores that this process may use.

    Raises
    ------
    ArtifactError
        Where the folder is no such model, or a file does not match its digest.
    DetectorError
        Where no runtime that is installed here can run it.
    """
    folder, registered = Path(model_uri), False
    if not (folder / "MLmodel").is_file():
        # A folder needs no MLflow, whose import takes longer than all the rest.
        from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
        from mlflow.tracking.artifact_utils import _download_artifact_from_uri

        uri = str(model_uri)
        folder = Path(_download_artifact_from_uri(artifact_uri=uri))
        # What is loaded by its id, by its run or from a folder can hold the note of an earlier load by name.
        registered = uri.startswith("models:") and not ModelsArtifactRepository._is_logged_model_uri(uri)
    return _open(folder, runtime, threads, _registered_as(folder) if registered else (None, None))


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> CountingPyfunc:
    """Load for `mlflow.pyfunc`; `path` holds model.json, `model_config` may set runtime and threads."""
    from camera_counting.scoring.guard import install
    from camera_counting.scoring.pyfunc import CountingPyfunc

    install()
    config = model_config or {}
    if unknown := set(config) - {"runtime", "threads"}:
        raise ArtifactError(f"model_config: expected runtime or threads, got {', '.join(sorted(unknown))}")
    folder = Path(path).parent
    # MLflow does not tell by which URI, so here the note is all there is
    return CountingPyfunc(_open(folder, config.get("runtime"), config.get("threads"), _registered_as(folder)))


def _open(
    folder: Path, runtime: str | None, threads: int | None, registered_as: tuple[str | None, str | None]
) -> CountingModel:
    artifact = artifact_of(folder)
    saved_by = str(_flavor_of(folder).get("code_version", __version__))
    if Version(saved_by) > Version(__version__):
        _logger.warning(
            "%s was saved by version %s of this package and is run by the older %s (from %s); it may count "
            "differently. Install the newer one, or load the model in a process of its own",
            *(folder, saved_by, __version__, Path(__file__).parent),
        )
    detector = detector_of(artifact, runtime=runtime, threads=threads)
    name, version = registered_as
    return CountingModel(detector, digest=artifact.manifest.digest, name=name, version=version)


def artifact_of(folder: Path) -> Artifact:
    """The detector's files in a saved model's folder, and what is known of them, once the digests hold.

    Raises
    ------
    ArtifactError
        Where the folder is no such model, or a file does not match its digest.
    """
    flavor = _flavor_of(folder)
    artifact = read_artifact(folder / _DATA)
    if flavor.get("digest") != artifact.manifest.digest:
        raise ArtifactError(
            f"{folder} was altered: MLmodel was written for a detector with the digest {flavor.get('digest')}, "
            f"but {_DATA} holds {artifact.manifest.digest}. Get the model anew from where it was registered"
        )
    return artifact


def detector_of(artifact: Artifact, *, runtime: str | None = None, threads: int | None = None) -> GraphDetector:
    """The detector of a saved model, ready to run at the model's own confidence.

    Parameters
    ----------
    runtime : str, optional
        Which runtime; by default the first of those that the model was saved for.
    threads : int, optional
        How many cores one detection may use; by default the runtime decides.

    Raises
    ------
    DetectorError
        Where no runtime that is installed can run it.
    """
    manifest = artifact.manifest
    return open_detector(
        artifact.detector,
        classes=manifest.classes,
        head=manifest.head,
        spec=manifest.input,
        confidence=manifest.confidence,
        iou=manifest.iou,
        runtime=runtime,
        prefer=manifest.runtimes,
        threads=threads,
    )


def _flavor_of(folder: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavors = content["flavors"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder} is no MLflow model: {error}") from None
    if FLAVOR_NAME not in flavors:
        raise ArtifactError(f"{folder} has the flavours {', '.join(flavors)}; expected {FLAVOR_NAME} among them")
    flavor: dict[str, Any] = flavors[FLAVOR_NAME]
    if flavor.get("data") != _DATA:
        raise ArtifactError(f"{folder}: expected its data in {_DATA!r}, MLmodel says {flavor.get('data')!r}")
    return flavor


def _registered_as(folder: Path) -> tuple[str | None, str | None]:
    """Name and version, where the folder came from a registry: MLflow leaves a note in what it downloads."""
    try:
        note = yaml.safe_load((folder / "registered_model_meta").read_text(encoding="utf-8"))
        return str(note["model_name"]), str(note["model_version"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None, None


def _describe(model: Model, path: Path, signature: ModelSignature | None, input_example: Any) -> None:
    from mlflow.models.utils import _save_example

    from camera_counting.scoring.schema import example_request, signature_of_requests

    model.signature = signature if signature is not None else signature_of_requests()
    if input_example is None:
        input_example = example_request()
    if input_example is not False:
        _save_example(model, input_example, str(path))


def _carry_code(folder: Path) -> None:
    source = Path(__file__).resolve().parent
    shutil.copytree(
        source,
        folder / "carried" / "camera_counting",
        ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"),
    )
    shutil.copyfile(source / "carried_loader.py", folder / f"{_LOADER}.py")
