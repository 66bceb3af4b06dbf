"""Counting on the same detections: this engine against Ultralytics ObjectCounter and supervision's LineZone.

    python -m benchmarks.counting [--model URI] [--parts tuned,unseen] [--drawn all|few|none]
        [--rounds 1] [--quick] [--cache FOLDER]
    python -m benchmarks.counting --model URI --clip FILE --truth gt.txt --line x1,y1,x2,y2 [--labels person,car]

Every system gets the very detections that one detector made on one clip; `benchmarks.counting_systems` says how
each is driven. What they are measured on:

- **drawn** clips of the scene generator: every density in four weathers, each at another camera, at 12.5 frames a
  second, at half of that, and some at 25; detected by `--model`, by default what `make demo` has left in .demo;
- the **true boxes** of the same clips, of all that can be seen of everybody: what is wrong there is the counter's
  own fault, and no detector's;
- **simulated** detections (`benchmarks.simulated`), for many more crossings than could be drawn;
- with `--clip`, a clip of your own with MOT ground truth; `benchmarks.mot_truth` works out who crossed the line.

The engine is tuned on the clips of one part, "tuned"; those of the other, "unseen", are looked at for figures
alone. Drawing and detecting take a while the first time, and are kept in `--cache` (a temporary folder without
it); what the peers counted is kept there, too; begin with an empty one when the generator has changed. Frames per
second are those of tracking and counting alone on one processor, without decoding and detection. Figures go to
benchmarks/results/counting.json.

The published figures were taken with a detector that was made from the demo's, in all weathers and of crowds:

    python -m pipelines.prepare --out .demo/bench/data --pictures 1000 --cameras 24 --town 500 \\
        --density crowded --width 480 --height 270 --clips 0 --test 0 --val 0.1 \\
        --mixture '{"day":0.5,"dusk":0.2,"night":0.3,"clear":0.5,"rain":0.27,"fog":0.23}'
    python -m pipelines.train --data .demo/bench/data --image_size 320 --epochs 3 --work .demo/bench/1 \\
        --weights .demo/training/detector/0001/checkpoint.pt
    python -m pipelines.train --data .demo/bench/data --image_size 320 --epochs 14 --work .demo/bench/2 \\
        --weights .demo/bench/1/detector/0001/best-3.pt
    python -m pipelines.prepare --out .demo/bench/more --pictures 1200 --cameras 120 --town 500 --seed 5 \\
        --days 2 --density crowded --width 480 --height 270 --clips 0 --test 0 --val 0.08 \\
        --mixture '{"day":0.5,"dusk":0.2,"night":0.3,"clear":0.5,"rain":0.27,"fog":0.23}'
    python -m pipelines.train --data .demo/bench/more --image_size 416 --epochs 6 --work .demo/bench/3 \\
        --weights .demo/bench/2/detector/0001/best-14.pt
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.counting_cases import SETS, Case, generated_case, plans, simulated_cases, thinned, truly_seen
from benchmarks.counting_clip import clip_case
from benchmarks.counting_figures import Figures, better_settings, figures_of
from benchmarks.counting_runs import Outcome, outcome_of
from benchmarks.counting_systems import SYSTEMS, Entry
from benchmarks.record import keep, table

DEMO = Path(__file__).resolve().parents[1] / ".demo" / "mlflow.db"
COLUMNS = ("error", "wrong", "clear", "MAE", "GEH", "effect", "S1", "MOTA", "IDF1", "HOTA", "fps")

Outcomes = dict[str, list[Outcome]]


def main() -> None:
    """Measure, print, keep."""
    arguments = _parser().parse_args()
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # time is that of a processor, and threads that wait take it, too
    with _cache(arguments.cache) as cache:
        model = _model(arguments.model)
        if arguments.clip and model is None:
            raise SystemExit("error: --clip needs --model URI, or what `make demo` leaves in .demo: run it first")
        if arguments.clip:
            clip = clip_case(arguments.clip, arguments.truth, arguments.line, arguments.labels, model, cache)
            coming: Iterator[Case] = iter([clip])
        else:
            coming = _cases(arguments, model, cache)
        cases: list[Case] = []
        outcomes = {entry.name: [] for entry in SYSTEMS}  # type: Outcomes
        for case in coming:
            cases.append(case)
            for entry in SYSTEMS:
                outcomes[entry.name].append(outcome_of(entry, case, cache))
            _tell(f"{len(cases)}: {case.name}")
    chosen = _chosen(cases, outcomes)
    kept: dict[str, Any] = {"chosen": {peer: entry.name for peer, entry in chosen.items()}}
    table(
        "OC is ObjectCounter, LZ LineZone; settings",
        ["peer", "setting"],
        [[_short(p), e.name] for p, e in chosen.items()],
    )
    for group in dict.fromkeys(case.group for case in cases):
        kept[group] = _group(group, cases, outcomes, chosen)
    if arguments.clip is None:
        keep("counting", {"quick": arguments.quick, "drawn": arguments.drawn, "rounds": arguments.rounds, **kept})


def _cases(arguments: argparse.Namespace, model: Any, cache: Path) -> Iterator[Case]:
    parts = arguments.parts
    if model is None:
        _tell("no drawn clips: they need --model URI, or what `make demo` leaves in .demo")
    few = arguments.quick or arguments.drawn == "few"
    drawn = [] if model is None or arguments.drawn == "none" else plans(parts, quick=few, rounds=arguments.rounds)
    for plan in drawn:
        case = generated_case(plan, model, cache)
        for one in (case, thinned(case, 2)) if plan.fps < 20 else (case,):
            yield one
            yield truly_seen(one)
    for part in parts:
        yield from simulated_cases(part, quick=arguments.quick, rounds=arguments.rounds)


def _chosen(cases: Sequence[Case], outcomes: Outcomes) -> dict[str, Entry]:
    """The better setting of each peer on what may be tuned on, or on all there is."""
    tuned = [i for i, case in enumerate(cases) if case.part == "tuned"] or list(range(len(cases)))
    own = [cases[i] for i in tuned]
    errors = {
        entry.name: figures_of(own, [outcomes[entry.name][i] for i in tuned], tracking=False).error
        for entry in SYSTEMS
    }
    return better_settings(SYSTEMS, errors)


def _group(group: str, cases: Sequence[Case], outcomes: Outcomes, chosen: dict[str, Entry]) -> dict[str, Any]:
    """Print and return the figures of one group of clips: in all, and cell by cell."""

    def figures(entry: Entry, wanted: Callable[[Case], bool], tracking: bool = False) -> Figures:
        index = [i for i, case in enumerate(cases) if case.group == group and wanted(case)]
        return figures_of([cases[i] for i in index], [outcomes[entry.name][i] for i in index], tracking=tracking)

    mine = [case for case in cases if case.group == group]
    clear = any(case.clear for case in mine)
    whole = {entry.name: figures(entry, lambda case: True, tracking=True) for entry in chosen.values()}
    in_clear = {entry.name: figures(entry, lambda case: case.clear) for entry in chosen.values() if clear}
    table(
        f"{group}: {len(mine)} clips, {sum(len(case.detections) for case in mine)} frames, "
        f"{sum(len(case.truth) for case in mine)} crossings",
        ["system", *COLUMNS],
        [_row(_short(peer), whole[entry.name], in_clear.get(entry.name)) for peer, entry in chosen.items()],
    )
    groups: dict[str, dict[str, Callable[[Case], bool]]] = {
        "cell": {cell: (lambda case, c=cell: case.cell == c) for cell in dict.fromkeys(c.cell for c in mine)},  # type: ignore[misc]
        "frames a second": {
            f"{fps:g}": (lambda case, f=fps: case.fps == f)  # type: ignore[misc]
            for fps in sorted({case.fps for case in mine})
        },
    }
    kept: dict[str, Any] = {"in all": {name: _json(found) for name, found in whole.items()}}
    kept["in clear weather"] = {name: _json(found) for name, found in in_clear.items()}
    for title, rows in groups.items():
        cells = {row: [figures(entry, wanted) for entry in chosen.values()] for row, wanted in rows.items()}
        table(
            f"{group}: total count error by {title}",
            [title, "true", *map(_short, chosen)],
            [[row, str(found[0].true), *(f"{one.error:.1%}" for one in found)] for row, found in cells.items()],
        )
        kept[title] = {
            row: {"true": found[0].true} | {peer: one.wrong for peer, one in zip(chosen, found, strict=True)}
            for row, found in cells.items()
        }
    return kept


def _short(peer: str) -> str:
    """A peer's name for a column."""
    return peer.replace("ObjectCounter, ", "OC ").replace("LineZone, ", "LZ ").replace(", at the feet", ", feet")


def _row(name: str, found: Figures, clear: Figures | None) -> list[str]:
    score = found.tracking
    tracking = ["-"] * 3 if score is None else [f"{v:.3f}" for v in (score.mota, score.idf1, score.hota)]
    return [
        name,
        f"{found.error:.1%}",
        str(found.wrong),
        "-" if clear is None else f"{clear.error:.1%}",
        f"{found.counting['mae']:.2f}",
        f"{found.counting['geh']:.2f}",
        f"{found.effectiveness:.3f}",
        f"{found.s1:.3f}",
        *tracking,
        f"{found.fps:.0f}",
    ]


def _json(found: Figures) -> dict[str, Any]:
    values = asdict(found)
    values["counting"] = {name: round(value, 4) for name, value in found.counting.items()}
    return values


def _model(uri: str | None) -> Any:
    """The detector: what was asked for, or what the demo serves; None where it has not run."""
    import mlflow

    from camera_counting import load_model

    if uri is None:
        if not DEMO.exists():
            return None
        mlflow.set_tracking_uri(f"sqlite:///{DEMO}")
        uri = "models:/camera-counter@serving"
    return load_model(uri)


@contextmanager
def _cache(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _line(text: str) -> tuple[float, float, float, float]:
    values = tuple(float(v) for v in text.split(","))
    if len(values) != 4 or values[:2] == values[2:]:
        raise argparse.ArgumentTypeError(f"expected x1,y1,x2,y2 in pixels, two points, got {text}")
    return values


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if not set(parts) <= set(SETS):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(SETS)}, got {text}")
    return parts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="URI", help="the detector; by default the demo's")
    parser.add_argument("--parts", type=_parts, default=list(SETS), help=f"of the clips: {','.join(SETS)}")
    parser.add_argument("--rounds", type=int, default=1, choices=range(1, 5), help="how many clips of each kind")
    parser.add_argument("--drawn", choices=("all", "few", "none"), default="all", help="clips of the generator")
    parser.add_argument("--quick", action="store_true", help="a third of the clips")
    parser.add_argument("--cache", type=Path, help="folder for clips, detections and the peers' counts")
    parser.add_argument("--clip", type=Path, help="a clip of your own")
    parser.add_argument("--truth", type=Path, help="its ground truth in MOT format")
    parser.add_argument("--line", type=_line, help="x1,y1,x2,y2 in pixels")
    parser.add_argument("--labels", type=lambda text: text.split(","), help="names of the truth's class numbers")
    return parser


if __name__ == "__main__":
    main()
