"""The study's page in a browser: every plot is drawn without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.study.figures import draw_figures
from tasks.study.study import StudyReport

if TYPE_CHECKING:
    from tests.browser.conftest import Launch
    from tests.support.small_study import StudyRun

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(studied: "StudyRun", launch: "Launch", tmp_path: Path) -> Iterator[dict[str, object]]:
    """Open the page offline; return its requests, its errors, and the plots it drew."""
    with launch() as browser:
        context = browser.new_context(offline=True, viewport={"width": 1400, "height": 1000})
        page = context.new_page()
        requested: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda line: errors.append(line.text) if line.type == "error" else None,
        )
        page.goto(studied.page.as_uri())
        page.wait_for_function("document.body.dataset.drawn !== undefined")
        drawn = page.eval_on_selector_all(
            ".plot", "all => all.filter(one => one.querySelector('.main-svg')).map(one => one.id)"
        )
        outliers = page.locator("#boxes .points path").count()
        cells = page.locator("#cells tbody tr").count()
        page.set_viewport_size({"width": 400, "height": 800})
        # The page does not scroll sideways.
        page.wait_for_function("document.documentElement.scrollWidth <= 400")
        page.screenshot(path=tmp_path / "page.png")
        yield {
            "requested": [url for url in requested if not url.startswith(("data:", "blob:"))],
            "errors": errors,
            "drawn": set(drawn),
            "outliers": outliers,
            "cells": cells,
            "address": studied.page.as_uri(),
        }
        context.close()


def test_every_plot_is_drawn_without_a_network(
    studied: "StudyRun", opened: dict[str, object]
) -> None:
    report = StudyReport.model_validate_json(studied.data.read_bytes())
    assert opened["requested"] == [opened["address"]]
    assert [one for one in opened["errors"] if "WebGL" not in str(one)] == []  # type: ignore[attr-defined]  # a list
    assert opened["drawn"] == set(draw_figures(report))
    assert isinstance(opened["outliers"], int)
    assert opened["outliers"] > 0
    assert opened["cells"] == 2
