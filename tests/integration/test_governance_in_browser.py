"""A governed server in a real browser: an author, a reviewer and an auditor, in MLflow's UI and on our pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from governed_browser import as_somebody, edit_aliases, log_in, registered, transition, version_in_mlflow
from governed_server import MlflowServer, governed_server, password

from model_governance.cli import main

pytestmark = pytest.mark.slow

NOT_APPROVED = "0 of 1 approvals by reviewer of these files and this evidence"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Version 1 of `street` in Production."""
    with governed_server(tmp_path_factory.mktemp("governed")) as running:
        registered(running, "street", 1.0, {"score": 0.7, "latency_ms": 20.0})
        ask(running, "rita", "review", name="street", version="1", verdict="approve", comment="the first")
        ask(running, "otto", "promote", name="street", version="1", comment="go")
        yield running


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def challenger(server: MlflowServer) -> str:
    """A version that waits; whoever moves one registers another."""
    return registered(server, "street", 2.0, {"score": 0.8, "latency_ms": 20.0})


def ask(server: MlflowServer, user: str, call: str, **body: str) -> None:
    answer = server.request(user, "POST", f"/governance/api/{call}", json=body)
    assert answer.ok, answer.text


def stage(server: MlflowServer, number: str) -> str:
    answer = server.get("aud", "model-versions/get", name="street", version=number).json()
    return str(answer["model_version"]["current_stage"])


def refused(server: MlflowServer, user: str, number: str) -> list[dict[str, Any]]:
    """What the audit tells of this user's refusals on this version."""
    query = {"actor": user, "model": "street", "version": number, "outcome": "refused"}
    answer = server.request("aud", "GET", "/governance/api/audit/show", params=query)
    return list(answer.json()["entries"])


def test_the_author_finds_the_stage_menu_and_is_refused_in_a_sentence(
    server: MlflowServer, browser: Any, challenger: str
) -> None:
    page = log_in(browser, "ann")
    elsewhere: list[str] = []
    page.on("request", lambda asked: None if asked.url.startswith(server.url) else elsewhere.append(asked.url))
    version_in_mlflow(page, server, "street", challenger)
    transition(page, "Staging", "Production")
    toast = page.get_by_text(f"{NOT_APPROVED}; you made or registered this version and cannot approve it")
    toast.wait_for()
    assert "ann has data_scientist" in toast.inner_text()
    assert stage(server, challenger) == "Staging"
    told = refused(server, "ann", challenger)
    assert {each["action"] for each in told} == {"promote"}
    assert page.problems == []
    assert [each for each in elsewhere if not each.startswith(("data:", "blob:"))] == []


def test_a_refusal_says_what_is_missing_and_where(server: MlflowServer, browser: Any) -> None:
    """A camera that pays for the others, an approval, and that it is one's own."""
    gate = {"metric": "slice/camera/*/count/mae", "max": 1.5, "reason": "no camera pays for the others"}
    figures = {f"slice/camera/gate-{number}/count/mae": value for number, value in ((1, 0.8), (2, 0.9), (3, 1.9))}
    samples = {f"slice/camera/gate-{number}/n": 240.0 for number in (1, 2, 3)}
    number = registered(server, "counter", 7.0, figures | samples, {"format_version": 1, "slices": [gate]})
    page = log_in(browser, "ann")
    version_in_mlflow(page, server, "counter", number)
    transition(page, "None", "Production")
    toast = page.get_by_text("PERMISSION_DENIED")
    toast.wait_for()
    assert toast.inner_text() == (
        "PERMISSION_DENIED: moving a version to Production takes the role reviewer or operator; ann has "
        "data_scientist; count/mae 1.9 is above 1.5 on slice camera=gate-3; 0 of 1 approvals by reviewer of these "
        "files and this evidence; you made or registered this version and cannot approve it"
    )
    # MLflow advertises the view without stages over its list of models: here it does not
    page.goto(f"{server.url}/#/models")
    page.get_by_role("link", name="counter").wait_for()
    assert page.get_by_role("dialog").count() == 0
    # and on our page the same, before anybody asks
    page.get_by_role("link", name="Waiting for review").click()
    row = page.get_by_role("row").filter(has_text="counter")
    assert "yours; others decide" in row.inner_text()
    row.get_by_role("link").click()
    page.get_by_text("count/mae 1.9 is above 1.5 on slice camera=gate-3", exact=True).wait_for()
    page.get_by_text("you made or registered this version and cannot approve it", exact=True).wait_for()
    assert page.get_by_role("button").count() == 0
    assert page.problems == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_pages_are_read_on_a_phone_and_by_the_keyboard_alone(
    server: MlflowServer, browser: Any, challenger: str, colours: str
) -> None:
    page = log_in(browser, "admin" if colours == "dark" else "rita", color_scheme=colours)
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("", f"version?name=street&version={challenger}", "roles", "audit", "access", "verified"):
        page.goto(f"{server.url}/governance/{path}")
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0, f"{path} is wider than the screen"
        assert page.get_by_role("heading", level=2).count() == 1
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        unnamed = "[...document.querySelectorAll('input:not([type=hidden]), textarea, select, button')]" + (
            ".filter(each => !each.labels?.length && !each.ariaLabel && !each.textContent.trim()).length"
        )
        assert page.evaluate(unnamed) == 0


def test_the_alias_editor_is_no_way_round(server: MlflowServer, browser: Any, challenger: str) -> None:
    page = log_in(browser, "ann")
    version_in_mlflow(page, server, "street", challenger)
    page.get_by_role("switch").click()  # the new registry UI, which shows aliases
    dialog = edit_aliases(page, "champion")
    dialog.get_by_text(NOT_APPROVED).wait_for()
    model = server.get("aud", "registered-models/get", name="street").json()["registered_model"]
    assert challenger not in {each["version"] for each in model["aliases"] if each["alias"] == "champion"}
    # who turned MLflow's toggle on keeps it on
    page.reload()
    page.get_by_title("Edit aliases").wait_for()


def test_the_stage_menu_comes_to_a_browser_that_was_here_before_the_gate(
    server: MlflowServer, browser: Any, challenger: str
) -> None:
    """MLflow writes its own default into the browser at the first visit."""
    page = log_in(browser, "rita")
    page.goto(f"{server.url}/health")
    page.evaluate("localStorage.setItem('_mlflow_user_setting_dismiss_next_model_registry_ui', 'false')")
    version_in_mlflow(page, server, "street", challenger)
    page.get_by_role("status").filter(has_text="Staging").click()
    assert page.get_by_role("menuitem").count() == 3


def test_a_refusal_on_the_page_keeps_what_was_written(server: MlflowServer, browser: Any, challenger: str) -> None:
    page = log_in(browser, "otto")
    page.goto(f"{server.url}/governance/")
    page.get_by_role("link", name=f"street {challenger}").click()
    page.get_by_label("Your comment").fill("the shift begins")
    page.get_by_role("button", name="Move to Production").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert NOT_APPROVED in alert.inner_text()
    assert page.get_by_label("Your comment").input_value() == "the shift begins"
    assert stage(server, challenger) == "Staging"
    assert len(refused(server, "otto", challenger)) == 1, "written down once"


def test_an_auditor_sees_everything_and_changes_nothing(
    server: MlflowServer, browser: Any, challenger: str
) -> None:
    page = log_in(browser, "aud")
    page.goto(f"{server.url}/governance/version?name=street&version={challenger}")
    assert page.get_by_role("button").count() == 0
    page.get_by_role("link", name="Audit").click()
    page.get_by_label("Who").fill("validator")
    page.get_by_role("button", name="Show").click()
    assert page.get_by_role("cell", name="create version").count() > 0
    page.get_by_role("link", name="Verify the chain").click()
    page.get_by_text("The chain is whole").wait_for()
    version_in_mlflow(page, server, "street", challenger)
    transition(page, "Staging", "Archived")
    page.get_by_text("aud has auditor").wait_for()
    assert stage(server, challenger) == "Staging"
    assert page.problems == []


def test_an_admin_gives_a_role_and_an_access_review_asks_for_it_back(server: MlflowServer, browser: Any) -> None:
    page = log_in(browser, "admin")
    page.goto(f"{server.url}/governance/roles")
    page.get_by_label("Role for mallory").select_option("reviewer")
    page.get_by_role("row", name="mallory").get_by_role("button", name="Give").click()
    page.get_by_text("mallory has the role reviewer.").wait_for()
    assert governance(server, "mallory", "roles", "show", "--json")[1].count("reviewer") == 1
    code, told = governance(server, "admin", "roles", "withdraw", "mallory", "reviewer")
    assert (code, told.strip()) == (0, "mallory no longer has the role reviewer")
    code, told = governance(server, "rita", "roles", "grant", "rita", "operator")
    assert (code, "takes the role admin" in told) == (1, True)
    code, told = governance(server, "aud", "access", "--json")
    assert {each["user"] for each in json.loads(told)} >= {"ann", "rita", "aud", "admin"}
    assert governance(server, "rita", "access")[0] == 1
    code, told = governance(server, "nobody", "roles", "show")
    assert (code, "no such log-in" in told) == (1, True)


def test_a_reviewer_reads_approves_and_moves_it(server: MlflowServer, browser: Any) -> None:
    challenger = registered(server, "street", 3.0, {"score": 0.9, "latency_ms": 20.0})
    page = log_in(browser, "rita")
    version_in_mlflow(page, server, "street", challenger)
    # from the description, where a reviewer reads
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Review this version beside the champion").click()
    assert opened.value.url.startswith(f"{server.url}/governance/version?name=street")
    page.get_by_role("link", name="Review this version", exact=True).click()
    page.get_by_role("heading", name=f"street version {challenger}").wait_for()
    assert page.get_by_text("passed all").is_visible()
    for picture in page.get_by_role("img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("picture => picture.complete", arg=picture.element_handle())
        assert picture.evaluate("picture => picture.naturalWidth") == 320
    assert page.get_by_role("img").count() == 2, "the version's and the champion's"
    # no comment, no decision: the browser already says so
    page.get_by_role("button", name="Approve").click()
    assert page.get_by_label("Your comment").evaluate("field => field.validity.valueMissing")
    page.get_by_label("Your comment").fill("Better than the champion; charts looked at.")
    page.get_by_role("button", name="Approve").click()
    page.get_by_text(f"You approved version {challenger}.").wait_for()
    page.get_by_text("Nothing stands in the way of Production.").wait_for()
    assert page.problems == []
    # and in MLflow's UI
    version_in_mlflow(page, server, "street", challenger)
    transition(page, "Staging", "Production")
    page.get_by_role("status").filter(has_text="Production").wait_for()
    assert stage(server, challenger) == "Production"
    model = server.get("aud", "registered-models/get", name="street").json()["registered_model"]
    assert {"alias": "champion", "version": challenger} in model["aliases"]


def governance(server: MlflowServer, user: str, *arguments: str) -> tuple[int, str]:
    """Run `model-governance` as somebody; gives its exit code, and what it printed."""
    log_in = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password(user)}
    with as_somebody(server, user):  # puts back what the command sets
        done = CliRunner().invoke(main, ["--tracking-uri", server.url, *arguments], env=log_in)
    return done.exit_code, done.output
