"""Make the pictures of docs/GOVERNANCE.md anew, from a real server in a real browser.

PYTHONPATH=plugins:.:tests python tests/governed_pictures.py docs/pictures
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from governed_browser import edit_aliases, log_in, registered, transition, version_in_mlflow
from governed_server import MlflowServer, governed_server
from PIL import Image
from playwright.sync_api import sync_playwright

LARGEST = 120_000
"""Bytes of one picture."""

POLICY: dict[str, Any] = {
    "format_version": 1,
    "quality": [{"metric": "count/mae", "max": 1.5, "reason": "an operator plans gates by it"}],
    "slices": [
        {"metric": "slice/camera_id/*/count/mae", "max": 1.5, "reason": "no camera pays for the others"},
    ],
    "champion": [
        {
            "metric": "count/mae",
            "better": "lower",
            "worse_by_at_most": 0.05,
            "same_data": False,
            "reason": "no step back",
        }
    ],
}


def figures(mae: float, gates: tuple[float, float, float]) -> dict[str, float]:
    """Count errors overall and by camera."""
    by_camera = {f"slice/camera_id/gate-{number}/count/mae": each for number, each in enumerate(gates, start=1)}
    samples = {f"slice/camera_id/gate-{number}/n": 240.0 for number in (1, 2, 3)}
    return {"count/mae": mae, **by_camera, **samples}


def main(folder: Path) -> None:
    """Play the story, and keep a picture of each scene."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    with tempfile.TemporaryDirectory() as place, governed_server(Path(place) / "server") as server:
        prepare(server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--hide-scrollbars"]
            )
            author(server, browser, folder)
            reviewer(server, browser, folder)
            auditor(server, browser, folder)
            browser.close()


def prepare(server: MlflowServer) -> None:
    """A champion, a version that waits, and one that failed its gates."""
    registered(server, "street", 1.0, figures(1.1, (0.9, 1.0, 1.4)), POLICY)
    decide(server, "rita", "review", version="1", verdict="approve", comment="the first; clips looked at")
    decide(server, "otto", "promote", version="1", comment="go")
    registered(server, "street", 3.0, figures(1.2, (0.8, 0.9, 1.9)), POLICY)
    registered(server, "street", 2.0, figures(0.8, (0.7, 0.6, 1.1)), POLICY)


def decide(server: MlflowServer, user: str, call: str, **body: str) -> None:
    answer = server.request(user, "POST", f"/governance/api/{call}", json={"name": "street", **body})
    assert answer.ok, answer.text


def author(server: MlflowServer, browser: Any, folder: Path) -> None:
    """Ann tries to move her own version, by stage and by alias."""
    page = log_in(browser, "ann")
    version_in_mlflow(page, server, "street", "3")
    transition(page, "Staging", "Production")
    page.get_by_text("PERMISSION_DENIED").wait_for()
    page.wait_for_timeout(1000)  # the toast slides in
    keep(page, folder / "governance-author.png")
    page = log_in(browser, "ann")
    version_in_mlflow(page, server, "street", "3")
    page.get_by_role("switch").click()
    edit_aliases(page, "champion").get_by_text("you made or registered this version").wait_for()
    keep(page, folder / "governance-alias.png")


def reviewer(server: MlflowServer, browser: Any, folder: Path) -> None:
    """Rita asks for changes to one, and approves another."""
    page = log_in(browser, "rita")
    page.goto(f"{server.url}/governance/")
    keep(page, folder / "governance-waiting.png", height=450)
    page.goto(f"{server.url}/governance/version?name=street&version=2")
    keep(page, folder / "governance-failed.png", height=760)
    page.goto(f"{server.url}/governance/version?name=street&version=3")
    page.get_by_label("Your comment").fill(
        "Better at all three gates on the same clips; gate-3 looked at by night."
    )
    for picture in page.get_by_role("img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("picture => picture.complete", arg=picture.element_handle())
    keep(page, folder / "governance-review.png", full=True)
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("You approved").wait_for()
    page.get_by_label("Your comment").fill("Goes live with the morning shift.")
    page.get_by_role("button", name="Move to Production").click()
    page.get_by_text("is in Production and has the alias champion").wait_for()
    keep(page, folder / "governance-promoted.png", height=560)


def auditor(server: MlflowServer, browser: Any, folder: Path) -> None:
    """Aud reads what happened and who may do what; the admin changes it."""
    page = log_in(browser, "aud")
    page.goto(f"{server.url}/governance/audit?model=street")
    keep(page, folder / "governance-audit.png")
    page.goto(f"{server.url}/governance/access")
    keep(page, folder / "governance-access.png")
    page = log_in(browser, "admin")
    page.goto(f"{server.url}/governance/roles")
    keep(page, folder / "governance-roles.png", height=560)


def keep(page: Any, path: Path, *, height: int = 860, full: bool = False) -> None:
    """Keep what the page shows, in few colours."""
    page.set_viewport_size({"width": 1280, "height": height})
    content = page.screenshot(full_page=full)
    with Image.open(io.BytesIO(content)) as picture:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < LARGEST, f"{path.name} has {path.stat().st_size} bytes"
    sys.stdout.write(f"{path}: {path.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures"))
