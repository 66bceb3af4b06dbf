"""`camera-counting import`: a detector that nobody here trained becomes a logged MLflow model."""

from __future__ import annotations

from pathlib import Path

import click

from camera_counting.errors import DetectorError

__all__ = ["import_"]


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--labels", help='"coco", or a file of class names; by default the detector\'s own metadata.')
@click.option("--name", default="model", show_default=True, help="Name of the logged model.")
@click.option("--register", metavar="NAME", help="Register a version of this name, too.")
@click.option("--confidence", type=click.FloatRange(0, 1), default=0.25, show_default=True)
@click.option("--iou", type=click.FloatRange(0, 1, min_open=True), default=0.7, show_default=True)
@click.option("--head", help="yolov8, yolox or end-to-end, where the graph does not tell.")
@click.option(
    "--size", type=(int, int), metavar="WIDTH HEIGHT", help="For a graph that leaves its input size free."
)
def import_(
    path: Path,
    labels: str | None,
    name: str,
    register: str | None,
    confidence: float,
    iou: float,
    head: str | None,
    size: tuple[int, int] | None,
) -> None:
    """Log the detector PATH (.onnx, OpenVINO .xml, or a folder with one of them) and print its model URI.

    It goes to MLFLOW_TRACKING_URI, into the experiment MLFLOW_EXPERIMENT_NAME. What the detector is (YOLOv8,
    YOLO11, YOLO26, YOLOX) is recognised from its graph.
    """
    if not path.exists():
        raise DetectorError(f"{path}: there is no such file or folder")
    from camera_counting.detectors import identify

    # before MLflow is imported and a run is begun: a detector that is of no known kind leaves nothing behind
    known = identify(path, classes=labels, head=head, size=size)

    import mlflow

    from camera_counting.flavor import log_model

    with mlflow.start_run(run_name=f"import {path.name}"):
        mlflow.log_params(
            {
                "source": path.name,
                "head": known.head.name,
                "input": f"{known.spec.width}x{known.spec.height}",
                "classes": len(known.names),
                "confidence": confidence,
                "iou": iou,
            }
        )
        info = log_model(
            path,
            name,
            classes=known.names,
            confidence=confidence,
            iou=iou,
            head=known.head.name,
            size=size,
            registered_model_name=register,
        )
    click.echo(
        f"{known.head.name}, {known.spec.width}x{known.spec.height}, {len(known.names)} classes, "
        f"runs on {' and '.join(known.runtimes)}",
        err=True,
    )
    if register is not None:
        click.echo(f"registered as models:/{register}/{info.registered_model_version}", err=True)
    click.echo(info.model_uri)
