"""Takes the pictures in ``docs/images``: runs ``noctule demo`` and opens it in the Prefect UI.

Run by ``make pictures``, never by the test suite. Needs Chromium (``install-chromium``).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from flows.private_server import private_server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
NOCTULE = Path(sys.executable).with_name("noctule")
MENU_WIDTH = 256
"""Pixels at the left of Prefect's pages that the pictures leave out."""
DRAWN_WITHIN_MS = 5_000
"""A guess: the UI draws its timeline in about two seconds."""


def take_pictures(ui: str, folder: Path) -> None:
    """Save pictures of the latest night's run and of its flagged connections.

    Args:
        ui: address of a Prefect UI, whose latest night is that of a demo.
        folder: gets ``night.png`` and ``flagged.png``.
    """
    nightly = {"flows": {"name": {"any_": ["nightly"]}}, "sort": "EXPECTED_START_TIME_DESC"}
    flagged = {"artifacts": {"key": {"like_": "flagged-"}}, "sort": "CREATED_DESC"}
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{ui}/runs/flow-run/{_find_first(ui, 'flow_runs', nightly)}")
        page.get_by_text("Subflow Runs", exact=True).click()
        _save(page, folder / "night.png", height=900)
        page.set_viewport_size({"width": 1900, "height": 1000})
        page.goto(f"{ui}/artifacts/artifact/{_find_first(ui, 'artifacts', flagged)}")
        _save(page, folder / "flagged.png", height=500)
        chromium.close()


def _find_first(ui: str, kind: str, wanted: dict[str, object]) -> str:
    """Return the id of the first record that the Prefect server finds."""
    found = httpx.post(f"{ui}/api/{kind}/filter", json=wanted).raise_for_status().json()
    return str(found[0]["id"])


def _save(page: Page, path: Path, height: int) -> None:
    """Save the top of the page, without the menu at its left."""
    page.wait_for_timeout(DRAWN_WITHIN_MS)
    assert page.viewport_size is not None
    width = page.viewport_size["width"] - MENU_WIDTH
    page.screenshot(path=path, clip={"x": MENU_WIDTH, "y": 0, "width": width, "height": height})


def main() -> None:
    """Run the demo in a new home beside a new Prefect server, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, private_server(Path(folder) / "prefect") as api:
        home = {"NOCTULE_HOME": str(Path(folder) / "home"), "PREFECT_API_URL": api}
        subprocess.run([NOCTULE, "demo"], env=os.environ | home, check=True)
        take_pictures(api.removesuffix("/api"), IMAGES)


if __name__ == "__main__":
    main()
