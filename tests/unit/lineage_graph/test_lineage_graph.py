"""The graph of a team's history on a real tracking server: what is in it, and what its pages hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from team_history import TeamHistory, make_history

from pipelines.lineage import LineageSettings, run
from pipelines.lineage_graph.errors import LineageGraphError
from pipelines.lineage_graph.graph import Edge, Graph, Node, without_circles
from pipelines.lineage_graph.history import History
from pipelines.lineage_graph.layout import lay_out
from pipelines.lineage_graph.mermaid import markdown, mermaid
from pipelines.lineage_graph.nodes import Pages
from pipelines.lineage_graph.page import page
from pipelines.lineage_graph.walk import Limits, Walk
from tests.empty_store import empty_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamHistory]:
    folder = tmp_path_factory.mktemp("history")
    uri = empty_store(folder)
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        yield make_history(folder)
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


@pytest.fixture
def read(store: TeamHistory, monkeypatch: pytest.MonkeyPatch) -> TeamHistory:
    """A history that several tests share; none of them changes it."""
    uri = f"sqlite:///{Path(store.log).parent / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return store


@pytest.fixture
def team(read: TeamHistory, tmp_path: Path) -> TeamHistory:
    """A history of one test alone, beside the other one in the same store."""
    return make_history(tmp_path, name=f"counter {tmp_path.name}")


def walk(start: str, limits: Limits | None = None, logs: tuple[str, ...] = ()) -> Graph:
    return Walk(History(), Pages(None), limits or Limits(), logs).graph(start)


def after(graph: Graph, start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        new = {edge.target for edge in graph.edges if edge.source == here} - found
        found |= new
        waiting += new
    return found


def test_the_first_version_leads_to_all_that_came_of_it(read: TeamHistory) -> None:
    graph = walk(f"{read.name}/1")
    first, second = (f"version:{read.name}/{number}" for number in (1, 2))
    assert graph.start == first
    came = after(graph, first)
    assert {f"approval:{read.name}/1", f"run:{read.drift}", f"run:{read.trainings[1]}"} <= came
    assert {f"model:{read.models[1]}", second, f"run:{read.evaluations[1]}"} <= came
    assert f"serving:{read.name}" in after(graph, second), "the second version serves, not the first"
    assert first in after(graph, "data:" + "a" * 64)
    log = next(node for node in graph.nodes if node.kind == "log")
    assert "6 predictions" in log.lines
    assert f"run:{read.drift}" in after(graph, log.id)


def test_the_second_version_names_the_report_that_asked_for_it(read: TeamHistory) -> None:
    graph = walk(f"{read.name}@champion")
    labels = {(edge.source, edge.target): edge.label for edge in graph.edges}
    training = f"run:{read.trainings[1]}"
    assert labels[f"run:{read.drift}", training] == "asked for it"
    assert labels[f"version:{read.name}/1", training] == "champion then"
    assert labels["data:" + "b" * 64, training] == "train"
    kinds = {node.kind for node in graph.nodes if f"version:{read.name}/2" in after(graph, node.id)}
    assert kinds == {"data", "run", "model", "version", "drift", "log"}


@pytest.mark.parametrize("start", ["trainings", "models", "drift"])
def test_it_starts_from_a_run_or_a_model_as_well(read: TeamHistory, start: str) -> None:
    of = read.drift if start == "drift" else getattr(read, start)[0]
    graph = walk(of)
    assert graph.start == f"{'model' if start == 'models' else 'run'}:{of}"
    assert f"version:{read.name}/2" in after(graph, graph.start)
    assert f"version:{read.name}/1" in {node.id for node in graph.nodes}


def test_an_optimised_model_and_a_reproduction_hang_on_what_they_come_from(team: TeamHistory) -> None:
    with mlflow.start_run() as optimised:
        mlflow.set_tags({"step": "optimize", "optimised_from": f"{team.models[0]} sha256:00"})
    with mlflow.start_run() as again:
        mlflow.set_tags(
            {"step": "reproduce", "reproduces": team.trainings[0], "reproduction.verdict": "identical"}
        )
    with mlflow.start_run() as repetition:
        digest = "a" * 64
        mlflow.set_tags({"step": "prepare", "dataset_digest": digest, "reused": "false", "lineage.rerun_of": "x"})
    graph = walk(team.trainings[0])
    assert (f"run:{repetition.info.run_id}", f"data:{digest}") not in {(e.source, e.target) for e in graph.edges}
    assert len([edge for edge in graph.edges if edge.target == f"data:{digest}"]) == 1
    ends = {(edge.source, edge.target) for edge in graph.edges}
    assert (f"model:{team.models[0]}", f"run:{optimised.info.run_id}") in ends
    assert (f"run:{team.trainings[0]}", f"run:{again.info.run_id}") in ends
    assert "identical" in next(node for node in graph.nodes if node.id.endswith(again.info.run_id)).lines


@pytest.mark.parametrize("digest", ["it's", 'the "old" set', "x' or params.epochs != '0", "' and \""])
def test_a_digest_is_asked_for_as_it_is_written(team: TeamHistory, digest: str) -> None:
    with mlflow.start_run() as training:
        mlflow.log_param("dataset_digest", digest)
        mlflow.set_tag("step", "train")
    # MLflow's filters know no escape: of what holds both marks nothing is found, and nothing breaks.
    expected = [] if "'" in digest and '"' in digest else [training.info.run_id]
    assert [run.info.run_id for run in History().trained_on(digest, 5)] == expected
    assert History().versions_of_model("m-1", digest) == []


@pytest.mark.parametrize(
    "start", ["camera-counter/9", "camera-counter@nobody", "m-" + "0" * 32, "0" * 32, "x", "", "../etc/passwd"]
)
def test_a_start_that_is_not_there_says_what_is_expected(read: TeamHistory, start: str) -> None:
    with pytest.raises(LineageGraphError, match="expected name/3"):
        walk(start)


def test_a_run_that_was_deleted_leaves_the_rest(team: TeamHistory) -> None:
    MlflowClient().delete_run(team.evaluations[0])
    assert f"run:{team.evaluations[0]}" not in {node.id for node in walk(f"{team.name}/1").nodes}


def test_a_log_that_cannot_be_read_is_said(team: TeamHistory, tmp_path: Path) -> None:
    part = next(Path(team.log).rglob("*.parquet"))
    part.write_bytes(b"no parquet")
    log = next(node for node in walk(f"{team.name}/1").nodes if node.kind == "log")
    assert log.lines == ("cannot be read",)
    assert part.name in log.facts["problem"]


def test_a_log_that_is_given_needs_no_report(team: TeamHistory) -> None:
    MlflowClient().delete_run(team.drift)
    deleted = next(node for node in walk(f"{team.name}/2").nodes if node.kind == "drift")
    assert "deleted" in deleted.lines
    assert not [node for node in walk(f"{team.name}/2").nodes if node.facts.get("of") == f"{team.name}/2"]
    given = [node for node in walk(f"{team.name}/2", logs=(team.log,)).nodes if node.kind == "log"]
    assert f"{team.name}/2" in [node.facts["of"] for node in given]


def test_of_many_the_newest_are_drawn_and_the_others_counted(team: TeamHistory) -> None:
    for _ in range(4):
        with mlflow.start_run():
            mlflow.set_tags({"step": "evaluate", "model_uri": f"models:/{team.models[1]}"})
    graph = walk(f"{team.name}/2", Limits(newest=2))
    beside = {edge.target for edge in graph.edges if edge.source == f"model:{team.models[1]}"}
    assert len([node for node in beside if node.startswith("run:")]) == 2
    assert "3 earlier evaluations" in {node.title for node in graph.nodes}


def test_a_graph_that_is_cut_holds_what_is_near_and_says_so(read: TeamHistory) -> None:
    graph = walk(f"{read.name}/2", Limits(nodes=4))
    assert (len(graph.nodes), graph.cut) == (4, True)
    assert graph.nodes[0].id == graph.start
    assert "more than was drawn" in page(graph, "t", "m")


class Tags(HTMLParser):
    """Which tags a page has, and which addresses they lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]


EVIL = 'x"]; click n0 "javascript:1" <script>alert(1)</script>\n```\n<img src=x onerror=1> | `a` [b](c) #quot; é'


def test_names_and_comments_stay_text(read: TeamHistory, tmp_path: Path) -> None:
    team = make_history(tmp_path, name="""it's "<script>alert(1)""", approver=EVIL)
    result = run(
        LineageSettings(version=f"{team.name}/1", out=tmp_path / "out", ui="https://me:secret@ui.example/x/")
    )
    text = result.html.read_text()
    found = Tags(text)
    assert not {"script", "img", "iframe", "foreignobject"} & found.tags
    assert "secret" not in text
    outside = [link for link in found.links if not link.startswith("#")]
    assert outside
    assert all(link.startswith("https://ui.example/x/#/") for link in outside)
    assert "&lt;script&gt;alert(1)" in text
    chart = result.markdown.read_text()
    assert chart.count("```") == 2
    assert "<script" not in chart
    assert "<img" not in chart
    artifacts = {each.path for each in MlflowClient().list_artifacts(result.run_id, "graph")}
    assert artifacts == {f"graph/lineage.{kind}" for kind in ("html", "md", "json")}
    assert json.loads((tmp_path / "out" / "lineage.json").read_text())["start"] == f"version:{team.name}/1"


@given(st.text(), st.text())
def test_a_label_in_mermaid_never_leaves_its_quotation_marks(title: str, label: str) -> None:
    graph = Graph("a", (Node("a", "run", title), Node("b", "run", "b")), (Edge("a", "b", label),))
    lines = mermaid(graph).splitlines()
    assert len(lines) == 6
    assert lines[1].count('"') == 2
    assert lines[3].count('"') == (2 if label else 0)
    assert markdown(graph, title).count("```") == 2


def test_the_page_is_drawn_without_an_error_by_a_browser(team: TeamHistory, tmp_path: Path, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    result = run(LineageSettings(version=f"{team.name}/2", out=tmp_path / "out"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            tab = browser.new_page(viewport={"width": 1500, "height": 900})
            said: list[str] = []
            tab.on("console", lambda message: said.append(message.text))
            tab.on("request", lambda request: said.append(request.url))
            tab.goto(result.html.as_uri())
            boxes = tab.locator("#picture rect")
            assert boxes.count() == len(result.graph.nodes)
            for number in range(boxes.count()):
                place = boxes.nth(number)
                words = place.locator("xpath=..").locator("text")
                for word in range(words.count()):
                    inner, outer = words.nth(word).bounding_box(), place.bounding_box()
                    assert inner is not None
                    assert outer is not None
                    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1, "text leaves its box"
            assert said == [result.html.as_uri()], "the page asks for itself and nothing else"
        finally:
            browser.close()


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    number = draw(st.integers(1, 14))
    pairs = draw(st.sets(st.tuples(st.integers(0, number - 1), st.integers(0, number - 1)), max_size=25))
    nodes = tuple(Node(str(index), "run", str(index)) for index in range(number))
    edges = tuple(Edge(str(left), str(right)) for left, right in sorted(pairs))
    return Graph("0", nodes, tuple(without_circles(edges)))


@settings(deadline=None)
@given(graphs(), st.integers(20, 120))
def test_no_two_boxes_overlap_and_every_edge_leads_to_the_right(graph: Graph, tall: int) -> None:
    heights = {node.id: float(tall + 7 * (int(node.id) % 5)) for node in graph.nodes}
    layout = lay_out(graph, heights)
    boxes = list(layout.boxes.values())
    assert len(boxes) == len(graph.nodes)
    for index, (x, y, width, height) in enumerate(boxes):
        assert 0 <= x <= layout.width - width + 1e-6
        assert 0 <= y <= layout.height - height + 1e-6
        for other_x, other_y, _, other in boxes[:index]:
            assert x != other_x or y + height <= other_y or other_y + other <= y
    for edge, points in zip(graph.edges, layout.paths, strict=True):
        assert layout.boxes[edge.source][0] < layout.boxes[edge.target][0]
        assert all(here[0] < there[0] for here, there in pairwise(points))


def test_a_circle_is_opened() -> None:
    edges = [Edge("a", "b"), Edge("b", "c"), Edge("c", "a"), Edge("a", "a")]
    assert without_circles(edges) == edges[:2]
    with pytest.raises(ValueError, match="without circles"):
        lay_out(Graph("a", tuple(Node(n, "run", n) for n in "abc"), tuple(edges[:3])), dict.fromkeys("abc", 1.0))
