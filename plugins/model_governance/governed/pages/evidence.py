"""What a version shows, read on the server: its bundle, or the figures of its run where it was never judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from model_governance.bundle import Bundle, bundle_in, bundle_place
from model_governance.change_log import Differences, differences
from model_governance.errors import GovernanceError
from model_governance.evidence import Evidence
from model_governance.governed.pages.sources import RunFiles

__all__ = ["Comparison", "Figure", "Picture", "Shown", "compare", "pictures", "read_picture", "read_shown"]

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""What is shown as a picture. No SVG: it may hold scripts."""

_MOST_PICTURES, _MOST_FOLDERS, _LARGEST_PICTURE = 24, 40, 8_000_000


@dataclass(frozen=True, slots=True)
class Shown:
    """What one version shows.

    Attributes
    ----------
    bundle : Bundle or None
        What was registered with it, held against its digests; None where there is none, or none that is whole.
    problem : str
        Why there is none, for a person; empty where there is one.
    figures : mapping of str to float
        Metrics of the bundle, or of the version's run where it has no bundle.
    runs : tuple of str
        Runs that measured and that the reader may see, that of the quality first; the version's own where none is
        known to have.
    """

    bundle: Bundle | None
    problem: str
    figures: Mapping[str, float]
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of a version beside the champion's; None where one of the two has none.

    Attributes
    ----------
    verdict : str
        ``better``, ``worse``, ``the same``, ``changed``, or empty where there is nothing to compare.
    same_data : bool
        Whether both were measured on the same data.
    """

    metric: str
    mine: float | None
    theirs: float | None
    verdict: str = ""
    same_data: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """A version beside the champion: figures, and one sentence for each other difference."""

    figures: tuple[Figure, ...]
    data: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a version's evidence, and the champion's of the same path where it has one.

    Attributes
    ----------
    path : str
        Relative to the run's artefacts.
    run_id : str
        The run that keeps it.
    theirs : str or None
        The champion's run that keeps a picture of the same path.
    """

    path: str
    run_id: str
    theirs: str | None = None


def read_shown(files: RunFiles, version: ModelVersion, may_read: Callable[[str], bool]) -> Shown:
    """Read what a version shows; what cannot be read becomes a sentence, for the page must open all the same.

    Parameters
    ----------
    may_read : callable
        Whether the reader may see an experiment of an id; without that neither pictures nor a run's metrics. The
        bundle belongs to the version: it is found by digests that the version carries.
    """
    try:
        run_id, folder = bundle_place(version)
        with files.local(run_id, folder) as root:
            bundle = bundle_in(root, version)
    except (GovernanceError, MlflowException, OSError) as error:
        return _without_bundle(files, version, may_read, getattr(error, "message", "") or str(error))
    figures = {name: metric.value for name, metric in bundle.evidence.metrics.items()}
    runs = tuple(each for each in _measuring(bundle.evidence) if _visible(files, each, may_read))
    return Shown(bundle, "", figures, runs)


def _measuring(evidence: Evidence) -> Iterable[str]:
    """Runs that measured; the model's own, whose author writes into it at any time, where no other did."""
    measured = dict.fromkeys(each.run_id for each in evidence.evaluations)
    return measured or (evidence.evaluation_run_id or evidence.run_id,)


def _without_bundle(
    files: RunFiles, version: ModelVersion, may_read: Callable[[str], bool], problem: str
) -> Shown:
    run = _visible(files, version.run_id, may_read) if version.run_id else None
    if run is None:
        return Shown(None, problem, {}, ())
    return Shown(None, problem, dict(run.data.metrics), (run.info.run_id,))


def _visible(files: RunFiles, run_id: str, may_read: Callable[[str], bool]) -> Run | None:
    """A run that is there and that the reader may see."""
    try:
        run = files.run(run_id)
    except MlflowException:
        return None
    return run if may_read(run.info.experiment_id) else None


def compare(mine: Shown, theirs: Shown | None) -> Comparison:
    """Figures of both, those that a gate reads first, and what else differs where both were judged."""
    found = Differences()
    if mine.bundle and theirs and theirs.bundle:
        found = differences(theirs.bundle.evidence, mine.bundle.evidence, mine.bundle.policy)
    changes = {change.metric: change for change in found.metrics}
    others = theirs.figures if theirs else {}
    gated = _gated(mine)
    names = sorted(mine.figures.keys() | others.keys(), key=lambda name: (name not in gated, name))
    figures = []
    for name in names:
        change, both = changes.get(name), name in mine.figures and name in others
        verdict = change.verdict if change else ("changed" if both and mine.figures[name] != others[name] else "")
        same = change.same_data if change else True
        figures.append(Figure(name, mine.figures.get(name), others.get(name), verdict, same))
    return Comparison(tuple(figures), found.data, found.params, found.code)


def _gated(shown: Shown) -> frozenset[str]:
    rows = shown.bundle.verdict.rows if shown.bundle else ()
    return frozenset(row.gate.removesuffix(" against the champion") for row in rows)


def pictures(files: RunFiles, mine: Shown, theirs: Shown | None) -> tuple[Picture, ...]:
    """Pictures among the artefacts of the evidence's runs, at most 24."""
    champions = {path: run_id for run_id, path in _pictures_of(files, theirs)} if theirs else {}
    return tuple(Picture(path, run_id, champions.get(path)) for run_id, path in _pictures_of(files, mine))


def _pictures_of(files: RunFiles, shown: Shown) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for run_id in shown.runs:
        for path in _walk(files, run_id):
            found.append((run_id, path))
            if len(found) == _MOST_PICTURES:
                return found
    return found


def _walk(files: RunFiles, run_id: str) -> Iterator[str]:
    """Paths of pictures, folder by folder; of a run with very many folders only the first."""
    folders: list[str | None] = [None]
    for folder in folders:
        try:
            listing = files.listing(run_id, folder)
        except (MlflowException, OSError):
            continue  # a run whose files are gone has no pictures; its figures are shown all the same
        for each in listing:
            if each.is_dir and len(folders) < _MOST_FOLDERS:
                folders.append(each.path)
            elif is_picture(each.path) and 0 < (each.file_size or 1) <= _LARGEST_PICTURE:
                yield each.path


def is_picture(path: str) -> bool:
    """Whether a path ends as one of `PICTURES`."""
    return path.lower().endswith(PICTURES)


def read_picture(files: RunFiles, run_id: str, path: str) -> tuple[str, bytes] | None:
    """Media type and bytes of a picture; None where there is none that is shown, whatever its name says."""
    if not is_picture(path):
        return None
    try:
        with files.local(run_id, path) as file:
            content = file.read_bytes() if file.stat().st_size <= _LARGEST_PICTURE else b""
    except (MlflowException, OSError):
        return None
    kind = _picture_type(content)
    return None if kind is None else (kind, content)


def _picture_type(content: bytes) -> str | None:
    """The media type that the bytes themselves show."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return None
