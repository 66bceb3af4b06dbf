"""The pages of the governed server, over a real registry: who sees what, who decides, what is refused and why."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask_wtf import CSRFProtect
from governed_office import Office, People, open_office
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from PIL import Image

from model_governance.evidence import Evaluated, Evidence
from model_governance.governed.pages import evidence
from model_governance.governed.pages.mlflow_server import ServerFiles
from model_governance.governed.pages.site import pages_blueprint
from model_governance.governed.pages.sources import Sources


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Version 1 of `m` in Production, by rita's yes and otto's hand."""
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        opened.registered(1.0, score=0.7)
        with opened.as_("rita"):
            opened.store.review("m", "1", "approve", "the first; looked at its chart")
        with opened.as_("otto"):
            opened.store.promote("m", "1", "go")
        yield opened


_values = iter(range(2, 1000))


@pytest.fixture
def challenger(office: Office) -> ModelVersion:
    """A new version that waits."""
    return office.registered(float(next(_values)), score=0.75)


def decide(
    office: Office, who: str, version: ModelVersion, what: str, comment: str, **more: str
) -> tuple[int, str]:
    """Send the decision's form of the version's page as it is now."""
    desk = office.at(who)
    _, page = desk.get("/version", name="m", version=str(version.version))
    seal = re.search(r'name="seal" value="(\w+)"', page)
    path, verdict = (
        ("/review", {"verdict": what}) if what in ("approve", "reject", "changes", "reopen") else (f"/{what}", {})
    )
    form = {"name": "m", "version": str(version.version), "comment": comment, "seal": seal[1] if seal else ""}
    return desk.post(path, **form | verdict | more)


def said(page: str) -> str:
    """What a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_version_is_approved_and_promoted_by_two_people(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    assert f"m {number}" in said(office.at("rita").get("/")[1])
    status, page = decide(office, "rita", challenger, "approve", "better at night")
    assert status == 200
    assert f"You approved version {number}" in said(page)
    assert "rita" in said(page)
    assert "better at night" in said(page)
    status, page = decide(office, "otto", challenger, "promote", "shift change")
    assert (status, f"Version {number} is in Production" in said(page)) == (200, True)
    now = office.store.get_model_version("m", number)
    assert now.current_stage == "Production"
    assert office.store.get_registered_model("m").aliases["champion"] == int(number)
    assert f"m {number}" not in said(office.at("rita").get("/")[1]), "it no longer waits"


def test_the_author_reads_everything_and_decides_nothing(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    status, page = office.at("ann").get("/version", name="m", version=number)
    assert status == 200
    assert "Logged by ann, registered by val." in said(page)
    assert 'name="verdict"' not in page
    # nor with a form that the page does not show
    status, page = decide(office, "ann", challenger, "approve", "mine", seal=seal_of(office, number))
    assert status == 403
    assert "reviewing takes the role reviewer; ann has data_scientist" in said(page)
    assert office.store.get_model_version("m", number).current_stage == "Staging"


def told_of(office: Office, number: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(office.at("aud").get("/api/version", name="m", version=number)[1])
    return told


def seal_of(office: Office, number: str) -> str:
    return str(told_of(office, number)["seal"])


def test_the_page_says_what_is_missing_before_anybody_asks(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    assert "0 of 1 approvals" in said(office.at("otto").get("/version", name="m", version=number)[1])
    decide(office, "rita", challenger, "changes", "please measure at night")
    page = said(office.at("otto").get("/version", name="m", version=number)[1])
    assert "rita asked for changes: please measure at night" in page
    status, page = decide(office, "otto", challenger, "promote", "we need it")
    assert (status, "rita asked for changes: please measure at night" in said(page)) == (403, True)
    assert ">we need it</textarea>" in page, "what was written is not lost"


@pytest.mark.parametrize("comment", ["", "   ", "x" * 1001])
def test_a_decision_without_a_reason_is_none(office: Office, challenger: ModelVersion, comment: str) -> None:
    status, page = decide(office, "rita", challenger, "approve", comment)
    assert (status, "comment" in said(page)) == (400, True)
    assert not json.loads(office.at("aud").get("/api/version", name="m", version=str(challenger.version))[1])[
        "reviews"
    ]


def test_a_page_that_is_older_than_the_evidence_decides_nothing(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    old = seal_of(office, number)
    with office.as_("val"):
        office.store.set_model_version_tag("m", number, ModelVersionTag("evidence_digest", "f" * 64))
    status, page = decide(office, "rita", challenger, "approve", "as I saw it", seal=old)
    assert (status, "since you opened the page" in said(page)) == (409, True)
    status, told = office.at("rita").ask(
        "/review", name="m", version=number, verdict="approve", comment="as I saw it", seal=old
    )
    assert (status, told["error_code"]) == (409, "RESOURCE_CONFLICT")


def test_a_form_from_elsewhere_is_refused(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    status, page = office.at("rita").post(
        "/review",
        forged=True,
        name="m",
        version=number,
        verdict="approve",
        comment="c",
        seal=seal_of(office, number),
    )
    assert (status, "this form is too old" in said(page)) == (400, True)
    for path in ("/promote", "/rollback", "/break-glass", "/roles/grant", "/roles/withdraw"):
        assert office.at("rita").post(path, forged=True, name="m", version=number)[0] == 400, path


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost:8888"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_json_of_another_page_is_refused(
    office: Office, challenger: ModelVersion, headers: dict[str, str]
) -> None:
    body = {"name": "m", "version": str(challenger.version), "verdict": "approve", "comment": "c"}
    assert office.at("rita").ask("/review", headers, **body)[0] == 403
    assert office.at("rita").ask("/review", {"Origin": "http://localhost"}, **body)[0] == 200, (
        "our own page's is not"
    )


def test_json_that_a_form_can_send_is_refused(office: Office, challenger: ModelVersion) -> None:
    answer = office.at("rita").browser.post(
        "/governance/api/review", data='{"name": "m"}', content_type="text/plain", auth=("rita", "")
    )
    assert (answer.status_code, "application/json" in answer.get_json()["message"]) == (400, True)


def test_figures_stand_beside_the_champions(office: Office) -> None:
    champion = office.store.get_registered_model("m").aliases["champion"]
    theirs = told_of(office, str(champion))["figures"]
    before = {each["metric"]: each["mine"] for each in theirs}["score"]
    challenger = office.registered(float(next(_values)), score=0.9)
    told = told_of(office, str(challenger.version))
    figure = next(each for each in told["figures"] if each["metric"] == "score")
    assert (figure["mine"], figure["theirs"], figure["verdict"]) == (0.9, before, "better")
    page = said(office.at("aud").get("/version", name="m", version=str(challenger.version))[1])
    assert f"score 0.9 {before:.4g} {0.9 - before:+.3g} better" in page
    assert "passed all" in page


def test_pictures_of_the_evidence_are_shown_and_no_others(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    _, page = office.at("rita").get("/version", name="m", version=number)
    sources = [each.replace("&amp;", "&") for each in re.findall(r'<img [^>]*src="([^"]+)"', page)]
    assert len(sources) == 2, "the version's and the champion's"
    answer = office.at("rita").browser.get(sources[0], auth=("rita", ""))
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.get_data().startswith(b"\x89PNG")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    run = re.search(r"run=(\w+)", sources[0])
    assert run
    for wrong in (
        {"run": run[1], "path": "../../mlflow.db"},
        {"run": run[1], "path": "../../x.png"},
        {"run": run[1], "path": "plots/none.png"},
        {"run": run[1], "path": "plots"},
        {"run": "0" * 32, "path": "plots/figures.png"},
    ):
        assert office.at("rita").get("/picture", name="m", version=number, **wrong)[0] in (400, 404), wrong
    # who may not read the experiment sees the version, not its pictures
    status, page = office.at("eve").get("/version", name="m", version=number)
    assert (status, "<img" in page, "passed all" in said(page)) == (200, False, True)


def test_pictures_are_of_the_runs_that_measured(office: Office, challenger: ModelVersion) -> None:
    number, client = str(challenger.version), MlflowClient()
    own = challenger.tags["source_run_id"]
    shown = office.at("rita").get("/version", name="m", version=number)[1].count("<img")
    with office.as_("ann"):
        for each in range(24):  # as many as a page shows
            client.log_image(own, Image.new("RGB", (8, 8)), f"plots/{each}.png")
    assert office.at("rita").get("/version", name="m", version=number)[1].count("<img") == shown == 2
    picture = {"name": "m", "version": number, "run": own, "path": "plots/0.png"}
    assert office.at("rita").get("/picture", **picture)[0] == 404


@pytest.mark.parametrize(
    ("evaluations", "of_all", "runs"),
    [
        (("measuring", "robust", "measuring"), "measuring", ["measuring", "robust"]),
        (("own", "robust"), "own", ["own", "robust"]),
        ((), "measuring", ["measuring"]),
        ((), None, ["own"]),
    ],
)
def test_the_models_own_run_shows_pictures_where_it_measured(
    evaluations: tuple[str, ...], of_all: str | None, runs: list[str]
) -> None:
    shown = Evidence.model_construct(
        run_id="own",
        evaluation_run_id=of_all,
        evaluations=tuple(Evaluated(kind="k", run_id=each, began=1, digest="d") for each in evaluations),
    )
    assert list(evidence._measuring(shown)) == runs


def test_what_nobody_may_read_is_not_there(office: Office) -> None:
    with office.as_("ann"):
        office.store.create_registered_model("secret-m")
        office.store.create_model_version("secret-m", "/nowhere")
    assert "secret-m" in office.at("ann").get("/")[1]
    assert "secret-m" not in office.at("rita").get("/")[1]
    for path in ("/version", "/api/version", "/picture"):
        assert office.at("rita").get(path, name="secret-m", version="1", run="r", path="p.png")[0] == 403
        assert office.at("rita").get(path, name="secret-none", version="1", run="r", path="p.png")[0] == 403
    body = {"name": "secret-m", "version": "1", "comment": "c", "reason": "c", "verdict": "approve"}
    for call in ("/review", "/promote", "/rollback", "/break-glass"):
        assert office.at("rita").ask(call, **body)[0] == 403


def test_a_version_without_evidence_opens_and_says_so(office: Office) -> None:
    with office.as_("ann"):
        office.store.create_registered_model("bare")
        office.store.create_model_version("bare", "/nowhere", description="<script>alert(1)</script>")
    status, page = office.at("rita").get("/version", name="bare", version="1")
    assert (status, "Nobody has judged this version" in said(page), "<script" in page) == (200, True, False)
    assert "model-governance register models:/bare/1 bare --policy policy.yaml" in said(page)
    # whatever a model is called, what is copied into a shell is one word
    with office.as_("ann"):
        office.store.create_registered_model("it's $(date)")
        office.store.create_model_version("it's $(date)", "/nowhere")
    page = html.unescape(office.at("rita").get("/version", name="it's $(date)", version="1")[1])
    command = shlex.split(re.search(r"<code>(model-governance register [^<]+)</code>", page)[1])  # type: ignore[index]
    assert command[2:4] == ["models:/it's $(date)/1", "it's $(date)"]


def test_the_list_says_what_it_asks_of_whom(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)

    def line(who: str) -> str:
        page = office.at(who).get("/", model="M")[1]  # in any case of letters
        (row,) = [row for row in page.split("<tr>") if f"version={number}" in row]
        return said(row)

    assert "your review" in line("rita")
    assert "yours; others decide" in line("ann")
    assert "your review" not in line("otto")
    assert decide(office, "rita", challenger, "changes", "add the night clips")[0] == 200
    assert "you said your word" in line("rita")
    assert "your review" in line("rob")
    assert f"version={number}" not in office.at("rita").get("/", model="nothing like it")[1]


def test_the_chain_is_verified_on_a_page(office: Office, challenger: ModelVersion) -> None:
    status, page = office.at("aud").get("/verified")
    assert (status, "The chain is whole" in said(page)) == (200, True)
    assert office.at("rita").get("/verified")[0] == 403


def test_colours_can_be_read_by_day_and_by_night(office: Office) -> None:
    """WCAG 2.2, 1.4.3: text stands out from its ground by 4.5 to 1."""
    style = office.at("rita").get("/style.css")[1]
    day, night = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in style.split("@media", 2)[:2])
    grounds = {"ink": ("ground", "card", "calm-bg"), "soft": ("ground", "card"), "link": ("ground", "card")}
    grounds |= {kind: (f"{kind}-bg", "card") for kind in ("good", "warn", "bad", "calm")}
    for colours in (day, day | night):
        for text, below in grounds.items():
            for ground in below:
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert night.keys() == day.keys()


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG defines it."""
    low, high = sorted(luminance(each) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_rollback_on_the_champions_page(office: Office, challenger: ModelVersion) -> None:
    before = str(office.store.get_registered_model("m").aliases["champion"])
    decide(office, "rita", challenger, "approve", "fine")
    decide(office, "otto", challenger, "promote", "go")
    status, page = decide(office, "otto", challenger, "rollback", "counts nobody after dusk")
    assert (status, "Rolled back" in said(page)) == (200, True)
    assert str(office.store.get_registered_model("m").aliases["champion"]) == before
    status, told = office.at("rita").ask("/rollback", name="m", reason="me too")
    assert (status, "rolling back takes the role operator" in told["message"]) == (403, True)


def test_the_glass_is_broken_with_a_reason_and_stays_marked(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    status, page = decide(office, "otto", challenger, "break-glass", "the gate is blind")
    assert (status, "takes the role break_glass" in said(page)) == (403, True)
    with office.as_("root"):
        office.store.grant("eve", "break_glass")
    assert "Break the glass" in said(office.at("eve").get("/version", name="m", version=number)[1])
    status, page = decide(office, "eve", challenger, "break-glass", "the gate is blind")
    assert (status, "past the rules" in said(page)) == (200, True)
    assert office.store.get_model_version("m", number).tags["broke_glass_reason"] == "the gate is blind"
    page = said(office.at("aud").get("/audit", action="break glass")[1])
    assert "without: " in page
    assert "0 of 1 approvals" in page, "the audit says what was passed by"


def test_the_history_tells_who_did_what_and_what_was_refused(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    decide(office, "rita", challenger, "reject", "<b>blind</b> in the rain")
    decide(office, "otto", challenger, "promote", "please")
    page = said(office.at("ann").get("/version", name="m", version=number)[1])
    assert "rejected rita" in page
    assert "&lt;b&gt;blind&lt;/b&gt; in the rain" in page
    assert re.search(r"otto promote refused", page)
    status, page = office.at("aud").get("/audit", model="m", version=number, outcome="refused")
    assert (status, "10.0.0.7" in page, "promote" in page) == (200, True, True)


def test_a_no_is_taken_back_by_opening_the_review(office: Office, challenger: ModelVersion) -> None:
    number = str(challenger.version)
    again = "Open the review again"
    assert again not in office.at("rita").get("/version", name="m", version=number)[1]
    assert again in decide(office, "rita", challenger, "reject", "blind in the rain")[1]
    status, page = decide(office, "rob", challenger, "reopen", "the lens was dirty, not the model")
    assert (status, again in page) == (200, False)
    assert "opened the review again" in said(page)


def test_the_pages_stand_under_mlflows_prefix(office: Office) -> None:
    app = Flask("prefixed")
    app.secret_key = "a-key-for-tests-alone"
    CSRFProtect(app)
    app.register_blueprint(pages_blueprint(Sources(lambda: office.store, People(), ServerFiles()), "/ml/"))
    with office.as_("rita"):
        page = app.test_client().get("/ml/governance/").get_data(as_text=True)
    assert 'href="/ml/governance/style.css"' in page
    assert 'href="../#/models"' in page


def test_the_access_review_knows_when_an_auditor_last_read(office: Office) -> None:
    told = json.loads(office.at("aud").get("/api/access")[1])["access"]
    uses = {each["user"]: {role["role"]: role["last_used"] for role in each["roles"]} for each in told}
    assert uses["aud"]["auditor"][:10] == f"{datetime.now(UTC):%Y-%m-%d}"
    with office.store.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT actor, role FROM governance_role_uses").all()
    assert [tuple(row) for row in kept] == [("aud", "auditor")], "one row a day, and none of who only asks"


def test_the_audit_is_for_auditors(office: Office) -> None:
    for path in ("/audit", "/access", "/api/access", "/api/audit/show", "/api/audit/verify", "/api/audit/export"):
        assert office.at("rita").get(path)[0] == 403, path
        assert office.at("aud").get(path)[0] == 200, path
    told = json.loads(office.at("aud").get("/api/audit/verify")[1])
    assert (told["whole"], told["problems"]) == (True, [])
    wrong = json.loads(office.at("aud").get("/api/audit/verify", seq="1", hash="0" * 64)[1])
    assert not wrong["whole"]
    exported = office.at("aud").get("/api/audit/export")[1].splitlines()
    numbers = [json.loads(line)["seq"] for line in exported]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == told["entries"]
    shown = json.loads(office.at("aud").get("/api/audit/show", most="2", below=str(numbers[-1]))[1])["entries"]
    assert [each["seq"] for each in shown] == [numbers[-2], numbers[-3]]


def test_roles_are_given_and_taken_by_admins(office: Office) -> None:
    status, page = office.at("root").post("/roles/grant", user="eve", role="reviewer")
    assert (status, "eve has the role reviewer" in said(page)) == (200, True)
    assert office.at("eve").get("/api/about")[1].count("reviewer") == 1
    assert office.at("root").post("/roles/withdraw", user="eve", role="reviewer")[0] == 200
    for who in ("rita", "aud", "otto"):
        status, page = office.at(who).post("/roles/grant", user=who, role="break_glass")
        assert (status, "takes the role admin" in said(page)) == (403, True)
    status, page = office.at("root").post("/roles/grant", user="root", role="reviewer")
    assert (status, "nobody gives a role to themselves" in said(page)) == (403, True)
    assert office.at("root").post("/roles/grant", user="eve", role="king")[0] == 400
    # everybody sees their own; all of them those who look after them
    assert "otto" not in said(office.at("rita").get("/roles")[1])
    assert "otto" in said(office.at("aud").get("/roles")[1])


def test_nobody_comes_in_without_a_log_in(office: Office) -> None:
    browser = office.app.test_client()
    for path in ("/", "/version?name=m&version=1", "/roles", "/audit", "/api/about", "/style.css"):
        assert browser.get(f"/governance{path}").status_code == 401, path
    assert browser.post("/governance/api/review", json={}).status_code == 401


def test_browsers_are_told_to_run_nothing_and_to_load_nothing_from_elsewhere(office: Office) -> None:
    for path in ("/", "/version?name=m&version=1", "/roles"):
        answer = office.at("rita").browser.get(f"/governance{path}", auth=("rita", ""))
        assert "script-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        page = answer.get_data(as_text=True)
        assert not re.search(r"https?://|<script|style=|\son\w+=", page)
