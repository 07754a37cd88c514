"""A night in Prefect's UI, and our reports without a network, in a browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from storage.schema import run
from tests.support.prefect_servers import Server

if TYPE_CHECKING:
    from tests.browser.conftest import Launch
    from tests.support.bad_files_night import NightRun

pytestmark = pytest.mark.browser

SHOWN_WITHIN_MS = 30_000


@pytest.fixture(scope="module")
def browser(night: "NightRun", launch: "Launch") -> Iterator[Browser]:
    """Start Debian's Chromium after the night: no flow may run on the thread meanwhile."""
    with launch() as started:
        yield started


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """Open a page; leave its last screenshot in the test's folder."""
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.set_default_timeout(SHOWN_WITHIN_MS)
    expect.set_options(timeout=SHOWN_WITHIN_MS)
    yield opened
    opened.screenshot(path=tmp_path / "page.png", full_page=True)
    opened.close()


@pytest.fixture
def offline(browser: Browser, tmp_path: Path) -> Iterator[tuple[Page, list[str]]]:
    """Open a page without a network; yield it with the addresses that it requests."""
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 1000})
    opened = context.new_page()
    requested: list[str] = []
    opened.on("request", lambda request: requested.append(request.url))
    yield opened, requested
    opened.screenshot(path=tmp_path / "page.png")
    context.close()


@pytest.fixture
def ui(prefect_server: str) -> str:
    return prefect_server.removesuffix("/api")


@pytest.fixture
def run_page(night: "NightRun", ui: str) -> Callable[..., str]:
    """Return a function that gives the address of a flow run's page: of a batch or the night."""

    def address(kind: str, file_name: str | None = None) -> str:
        chosen = sa.select(run.c.flow_run_id).where(run.c.kind == kind)
        if file_name is not None:
            chosen = chosen.where(run.c.batch_id == night.batch(file_name)["batch_id"])
        with night.database() as engine, engine.connect() as connection:
            return f"{ui}/runs/flow-run/{connection.scalar(chosen)}"

    return address


@pytest.fixture
def artifact_page(prefect_server: str, ui: str) -> Callable[[str], str]:
    """Return a function that gives the address of an artifact's page by its key."""

    def address(key: str) -> str:
        chosen = {"key": {"any_": [key]}}
        found = Server(prefect_server).read("artifacts", artifacts=chosen, sort="CREATED_DESC")
        return f"{ui}/artifacts/artifact/{found[-1]['id']}"

    return address


def test_the_night_shows_its_name_its_state_and_the_files_that_need_attention(
    page: Page, run_page: Callable[..., str], night: "NightRun"
) -> None:
    page.goto(run_page("nightly"))
    expect(page).to_have_title(re.compile(f"night of {night.started_at.date()}"))
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    page.get_by_text("Details", exact=True).click()
    expect(page.get_by_text("13 files: 5 scored, 1 known, 6 rejected").first).to_be_visible()
    page.get_by_text("Subflow Runs", exact=True).click()
    for name in ("cells-2026-11-05.csv 2026-11-05", "foreign-2026-11-05.csv 2026-11-05"):
        expect(page.get_by_role("link", name=name)).to_be_visible()


def test_a_rejected_batch_shows_its_reason(page: Page, run_page: Callable[..., str]) -> None:
    page.goto(run_page("batch", "foreign-2026-11-05.csv"))
    expect(page).to_have_title(re.compile(r"foreign-2026-11-05\.csv 2026-11-05"))
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    page.get_by_text("Details", exact=True).click()
    reason = "rejected: 60 of 60 rows (100.0%) were quarantined; most often protocol"
    expect(page.get_by_text(reason).first).to_be_visible()


def test_the_summary_of_a_batch_is_an_artifact(
    page: Page, artifact_page: Callable[[str], str], night: "NightRun"
) -> None:
    cells = night.batch("cells-2026-11-05.csv")
    page.goto(artifact_page(f"batch-{cells['batch_id'][:12]}"))
    expect(page.get_by_role("heading", name="cells-2026-11-05.csv")).to_be_visible()
    for name, value in (("Rows read", "60"), ("Scored", "53"), ("Quarantined", "7")):
        row = page.get_by_role("row", name=name)
        expect(row.get_by_role("cell").last).to_have_text(value)
    advisory = "service: 1 row, such as 'quic'; expected one of the 70 known values"
    expect(page.get_by_text(advisory)).to_be_visible()
    report = night.home / "lake" / "nsl_kdd" / cells["batch_id"] / "validate" / "validation.html"
    expect(page.locator("pre", has_text=f"xdg-open {report}")).to_be_visible()


def test_flagged_connections_are_a_table_with_reasons(
    page: Page, artifact_page: Callable[[str], str], night: "NightRun"
) -> None:
    cells = night.batch("cells-2026-11-05.csv")
    page.goto(artifact_page(f"flagged-{cells['batch_id'][:12]}"))
    expect(page.get_by_text(f"{cells['rows_flagged']} Items")).to_be_visible()
    expect(page.get_by_role("columnheader", name="anomaly_score")).to_be_visible()
    expect(
        page.get_by_text(re.compile(r"num_failed_logins \d+ \(expected 0\);")).first
    ).to_be_visible()


def test_artifacts_are_listed_with_their_files(page: Page, ui: str, night: "NightRun") -> None:
    page.goto(f"{ui}/artifacts")
    short = night.batch("foreign-2026-11-05.csv")["batch_id"][:12]
    page.get_by_placeholder("Search artifacts").fill(short)
    expect(page.get_by_text("foreign-2026-11-05.csv, 2026-11-05: validation")).to_be_visible()
    expect(page.get_by_text("foreign-2026-11-05.csv, 2026-11-05: 60 of 60 rows")).to_be_visible()


def test_a_night_lists_the_artifact_with_its_summary(
    page: Page, run_page: Callable[..., str]
) -> None:
    page.goto(run_page("nightly"))
    page.get_by_text("Artifacts", exact=True).last.click()
    expect(page.get_by_text("13 files: 5 scored, 1 known, 6 rejected").first).to_be_visible()


def test_the_validation_page_shows_failures_without_a_network(
    offline: tuple[Page, list[str]], night: "NightRun"
) -> None:
    page, requested = offline
    report = reports(night, "cells-2026-11-05.csv") / "validate" / "validation.html"
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", name="cells-2026-11-05.csv")).to_be_visible()
    failed = page.get_by_role("row", name="protocol_type one of icmp, tcp, udp")
    expect(failed).to_contain_text("'gre'")
    expect(failed).to_contain_text("quarantined")
    expect(page.get_by_text("duration: 'soon' is not an integer")).to_be_visible()
    expect(page.get_by_text(re.compile("^soon,tcp,http,SF,"))).to_be_visible()
    assert requested == [report.as_uri()]
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 1400, "the page scrolls sideways"


def test_the_drift_report_draws_its_plots_without_a_network(
    offline: tuple[Page, list[str]], night: "NightRun"
) -> None:
    page, requested = offline
    (report,) = (night.home / "lake").rglob("drift.html")
    page.goto(report.as_uri())
    expect(page.get_by_text("Drift in column 'anomaly_score'")).to_be_visible()
    expect(page.locator("svg.main-svg").first).to_be_visible()
    assert {address.partition(":")[0] for address in requested} <= {"file", "data", "blob"}


def reports(night: "NightRun", file_name: str) -> Path:
    return night.home / "lake" / "nsl_kdd" / str(night.batch(file_name)["batch_id"])
