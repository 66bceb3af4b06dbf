"""The model that is optimised: where it is, what it is, and its graph as OpenVINO reads it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from camera_counting.artifact import Artifact
from camera_counting.detectors import GraphDetector
from camera_counting.flavor import artifact_of, detector_of
from model_governance.artifact import artifact_digest
from model_governance.source import locate
from pipelines.optimisation.errors import OptimisationError
from pipelines.optimisation.graph import Graph, read_graph

__all__ = ["Parent", "opened_parent"]


@dataclass(frozen=True, slots=True)
class Parent:
    """A logged model, opened.

    Parameters
    ----------
    model_id, run_id : str
        Of the logged model, and of the run that made it.
    digest : str
        SHA-256 over all of its files.
    artifact : Artifact
        Its detector and what is known of it; the digests were compared.
    detector : GraphDetector
        Ready to run, at the model's own confidence.
    graph : Graph
        The detector's graph, with its input's size fixed.
    """

    model_id: str
    run_id: str
    digest: str
    artifact: Artifact
    detector: GraphDetector
    graph: Graph

    @property
    def bytes(self) -> int:
        """Of the detector's files."""
        return sum(file.bytes for file in self.artifact.manifest.files)


@contextmanager
def opened_parent(model_uri: str) -> Iterator[Parent]:
    """Find, fetch and open a model; what was fetched is gone afterwards.

    Raises
    ------
    model_governance.GovernanceError
        Where there is no such model, or its files are not there.
    OptimisationError
        Where it is no logged model, or its files cannot be fetched.
    camera_counting.errors.CountingError
        Where it is no camera_counting model, a file is missing or altered, or no runtime here can run it.
    """
    source = locate(model_uri)
    if source.logged is None:
        raise OptimisationError(
            f"expected a logged model, {model_uri} has no model id: log it with camera_counting.log_model"
        )
    digest = artifact_digest(source.location)
    with tempfile.TemporaryDirectory(prefix="optimise-") as folder:
        try:
            fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=source.location, dst_path=folder))
        except (MlflowException, OSError) as error:
            raise OptimisationError(f"the files of {model_uri} cannot be fetched: {error}") from error
        artifact = artifact_of(fetched)
        detector = detector_of(artifact)
        graph = read_graph(artifact.detector, artifact.manifest.input)
        yield Parent(source.logged.model_id, source.run_id, digest, artifact, detector, graph)
