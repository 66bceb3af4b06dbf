"""The demo's steps, in the order in which a team lives them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlflow

import camera_counting
from camera_counting.prediction_log import read_predictions
from model_governance import promote
from model_governance.errors import TransitionError
from model_governance.standing import read_standing
from pipelines import drift_report, evaluate, prepare, register, validate
from pipelines.datasets.manifest import load_dataset
from pipelines.demo.camera_worker import write_camera_settings
from pipelines.demo.cameras import WINDOWS
from pipelines.demo.careless import log_careless
from pipelines.demo.office import Office
from pipelines.demo.questions import compare_answers, send_windows
from pipelines.demo.steps import Steps
from pipelines.drift.decision import RetrainRules
from pipelines.main import MainSettings, prepare_settings, train_or_take_up, train_settings
from pipelines.prepare import PrepareSettings
from pipelines.served_model import serving
from pipelines.train import TrainSettings

__all__ = ["Story"]

# Along the street, towards the camera: cars and people come near enough to be seen well.
_CLIP = 2


class Story:
    """Runs every step in one workspace; what an earlier demo left there is taken up again.

    Parameters
    ----------
    workspace : Path
    steps : Steps
        Where each step says what it found.
    """

    def __init__(self, workspace: Path, steps: Steps) -> None:
        self.workspace, self.steps = workspace, steps
        self.settings = MainSettings(
            workspace=workspace, prepare=PrepareSettings(clips=3), train=TrainSettings(data=workspace)
        )
        self.annotated = workspace / "counted.mp4"
        self.prediction_log = Path()
        self.reference = workspace / "reference.parquet"
        self.finished = False

    def tell(self) -> None:
        """All steps; an error in one ends the story."""
        self._prepare()
        with Office.opened(self.workspace, self.settings.policy) as office:
            self._train(office)
            self._evaluate(office)
            self._validate(office)
            self._register(office)
            self._review(office)
            self._refuse(office)
        self._count_clip()
        self._serve()
        self._watch("drift: an ordinary window", "ordinary", expected="no drift")
        self._watch("drift: a shifted window", "shifted", expected="drift")
        self.finished = True

    def _prepare(self) -> None:
        with self.steps.step("prepare data") as step:
            self.prepared = prepare.run(prepare_settings(self.settings))
            self.dataset = load_dataset(self.prepared.folder)
            numbers = {split: len(self.dataset.samples(split)) for split in ("train", "val", "test")}
            told = ", ".join(f"{number} {split}" for split, number in numbers.items())
            reused = "found again: " if self.prepared.reused else ""
            step.result = (
                f"{reused}{told} pictures, {len(self.dataset.clips)} clips, digest {self.prepared.digest[:12]}"
            )
            step.where = _short(self.prepared.folder)
            step.require(not self.prepared.report.findings, "the validation found fault with generated data")

    def _train(self, office: Office) -> None:
        """By a log-in, too: who made a model may not be who approves it."""
        with self.steps.step("train") as step, office.as_("author"):
            self.model_uri, self.run_id, anew = train_or_take_up(
                train_settings(self.settings), self.prepared.digest
            )
            metrics = mlflow.get_run(self.run_id).data.metrics
            step.result = (
                f"{'' if anew else 'found again: '}mAP50 {metrics['val/map50']:.2f} on validation pictures"
            )
            step.where = f"run {self.run_id}"

    def _evaluate(self, office: Office) -> None:
        """By the validator's log-in: nobody measures their own model."""
        with self.steps.step("evaluate") as step, office.as_("validator"):
            evaluated = evaluate.run(
                evaluate.EvaluateSettings(model_uri=self.model_uri, data=self.prepared.folder)
            )
            figures = evaluated.metrics
            step.result = (
                f"mAP50 {figures['detection/map50']:.2f}, count MAE {figures['count/mae']:.2f}, "
                f"line error {figures['line/error']:.1%}, p95 {figures['latency/p95_ms']:.0f} ms"
            )
            step.where = f"run {evaluated.run_id}, artefacts"

    def _validate(self, office: Office) -> None:
        with self.steps.step("validate in a server") as step, office.as_("validator"):
            found, run_id = validate.measure_infrastructure(self.model_uri, self.dataset)
            step.require(not found.problems, "; ".join(found.problems))
            seconds, latency, memory = (
                found.metrics.get(f"serving/{name}", 0.0)
                for name in ("cold_start_seconds", "latency_p95_ms", "memory_mb")
            )
            step.result = f"first answer after {seconds:.1f} s, p95 {latency:.0f} ms, {memory:.0f} MB"
            step.where = f"run {run_id}"

    def _register(self, office: Office) -> None:
        with self.steps.step("register, pass the gates") as step, office.as_("validator"):
            self.registered = register.run(
                register.RegisterSettings(
                    model_uri=self.model_uri, name=self.settings.name, policy=self.settings.policy
                )
            )
            # A log of its own for each version: what another model saw is no reference.
            self.prediction_log = self.workspace / "predictions" / self.registered.version
            rows = self.registered.verdict.rows
            passed = sum(row.passed for row in rows)
            step.result = f"version {self.registered.semantic_version}, {passed} of {len(rows)} gates passed"
            step.where = f"models:/{self.registered.name}/{self.registered.version}"
            step.require(
                self.registered.passed, "; ".join(row.sentence() for row in self.registered.verdict.failures)
            )
            if not self.registered.passed:
                raise RuntimeError(step.wrong)

    def _review(self, office: Office) -> None:
        """Whoever registered it cannot promote it; another log-in can, and the audit tells of both."""
        name, version = self.registered.name, self.registered.version
        with self.steps.step("review and promote") as step:
            with office.as_("validator"):
                if read_standing(mlflow.MlflowClient(), name).champion != version:
                    step.require(not _promoted(name, version), "a log-in promoted the version that it registered")
            with office.as_("reviewer"):
                standing = promote(name, version, "Demo Reviewer", "gates passed, clips looked at")
                serves = mlflow.MlflowClient().get_model_version_by_alias(name, "serving")
            step.result = f"the reviewer made version {standing.champion} champion, {serves.current_stage}"
            step.where = f"models:/{self.registered.name}@champion"
            step.require(
                str(serves.version) == self.registered.version and serves.current_stage == "Production",
                f"expected version {self.registered.version} in Production to serve, "
                f"found version {serves.version} in {serves.current_stage}",
            )

    def _refuse(self, office: Office) -> None:
        """A second candidate, with nothing wrong but its counts."""
        with self.steps.step("refuse a careless candidate") as step:
            name, policy = self.settings.name, self.settings.policy
            with office.as_("author"):
                careless = log_careless(self.model_uri)
            with office.as_("validator"):
                validate.run(
                    validate.ValidateSettings(
                        model_uri=careless, data=self.prepared.folder, name=name, policy=policy
                    )
                )
                refused = register.run(register.RegisterSettings(model_uri=careless, name=name, policy=policy))
            failures = refused.verdict.failures
            told = [f"{row.gate} {row.got}, expected {row.expected}" for row in failures[:3]]
            more = f" and {len(failures) - 3} more" if len(failures) > 3 else ""
            step.result = f"version {refused.semantic_version}: {'; '.join(told)}{more}"
            step.where = f"models:/{refused.name}/{refused.version}"
            champion = mlflow.MlflowClient().get_model_version_by_alias(name, "champion")
            step.require(not refused.passed, "the gates let a model through that misses most of what is there")
            step.require(
                str(champion.version) == self.registered.version,
                f"expected version {self.registered.version} to stay the champion, found {champion.version}",
            )

    @property
    def _serving_uri(self) -> str:
        return f"models:/{self.settings.name}@serving"

    def _count_clip(self) -> None:
        """As a user would: the command line, the registered model, a clip and its scene."""
        with self.steps.step("count a clip") as step:
            clip = self.dataset.clips[_CLIP]
            counted_file = self.workspace / "counted.json"
            subprocess.run(
                [
                    *(sys.executable, "-m", "camera_counting.cli", "count", str(clip.video)),
                    *("--model", self._serving_uri, "--scene", str(clip.scene)),
                    *("--json", str(counted_file), "--video", str(self.annotated)),
                ],
                check=True,
            )
            counted = json.loads(counted_file.read_text())["lines"]
            true = json.loads(Path(str(clip.truth)).read_text())["lines"]
            differences = [
                f"{name} {way}: counted {counted[name][way]}, true {true[name][way]}"
                for name in true
                for way in ("in", "out")
                if counted[name][way] != true[name][way]
            ]
            crossings = sum(line["in"] + line["out"] for line in true.values())
            classed = sum(
                min(number, counted[name]["by_class"].get(label, {}).get(way, 0))
                for name, line in true.items()
                for label, ways in line["by_class"].items()
                for way, number in ways.items()
            )
            step.result = (
                f"{crossings} crossings of {len(true)} lines, all as in the ground truth; "
                f"{classed} of {crossings} in the right class"
            )
            step.where = _short(self.annotated)
            step.require(not differences, "wrong count: " + "; ".join(differences))
            # for `make up`, where a worker counts the same clip as a camera
            write_camera_settings(self.workspace, Path(str(clip.video)), Path(str(clip.scene)), self.settings.name)

    def _serve(self) -> None:
        with self.steps.step("serve and ask") as step:
            log = self.workspace / "serving.log"
            model = camera_counting.load_model(self._serving_uri)
            with serving(self._serving_uri, log=log, prediction_log=self.prediction_log) as url:
                samples = self.dataset.samples("test")[:8]
                compare_answers(step, url, model, [sample.path.read_bytes() for sample in samples])
                asked = send_windows(url, self.prediction_log, self.steps.console)
            window = WINDOWS["reference"]
            reference = read_predictions(str(self.prediction_log), since=window.start, until=window.end)
            # A demo of an earlier version that was broken off may have sent some of them twice.
            reference = reference.drop_duplicates(["camera_id", "time"])
            reference.to_parquet(self.reference)
            step.require(
                len(reference) == window.pictures, f"{len(reference)} of {window.pictures} predictions logged"
            )
            step.result = f"{asked} pictures counted by mlflow models serve, the same as by count()"
            step.where = f"{_short(log)}, {_short(self.prediction_log)}"

    def _watch(self, title: str, window: str, *, expected: str) -> None:
        with self.steps.step(title) as step:
            current = WINDOWS[window]
            result = drift_report.run(
                drift_report.DriftSettings(
                    log=str(self.prediction_log),
                    name=self.settings.name,
                    reference=self.reference,
                    current_from=current.start,
                    current_to=current.end,
                    # The model is minutes old here; in earnest a day must pass before it is trained again.
                    retrain=RetrainRules(cooldown_hours=0.0, min_rows=40),
                    mail_to=["operations@example.org"],
                    mailbox=self.workspace / "mailbox",
                )
            )
            report = result.report
            share = f"{len(report.drifted)} of {len(report.judged)} columns"
            step.result = f"{report.verdict} ({share}). {result.decision.sentence}"
            step.where = f"{_short(Path(result.delivery.where)) if result.delivery else ''}, run {result.run_id}"
            step.require(report.verdict == expected, f"expected {expected}, the report says {report.verdict}")
            step.require(
                result.decision.retrain == (expected == "drift"),
                f"expected {'a' if expected == 'drift' else 'no'} retraining; {result.decision.sentence}",
            )
            step.require(result.delivery is not None and not result.delivery.problem, "the report was not mailed")


def _promoted(name: str, version: str) -> bool:
    try:
        promote(name, version, "Demo Validator", "I registered it myself")
    except TransitionError:
        return False
    return True


def _short(path: Path) -> str:
    """Relative to where the user stands, where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
