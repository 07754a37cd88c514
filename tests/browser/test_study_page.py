"""What a person sees of a study: one page with every plot drawn, without a network."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from expectations.nsl_kdd import NSL_KDD
from tasks.study.page import draw, render_study
from tasks.study.study import StudyReport, StudySource, study
from tasks.training_data import read_training_rows

if TYPE_CHECKING:
    from tests.browser.conftest import Launch

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(quick_study: None, tmp_path_factory: pytest.TempPathFactory) -> StudyReport:
    """A study of a small simulated night, with two classifiers on two selections."""
    import polars as pl

    from tasks.simulate import simulate_night

    folder = tmp_path_factory.mktemp("study")
    simulate_night(folder / "n.csv", rows=1_500, seed=3, night=date(2026, 11, 9), labelled=True)
    part = folder / "part.parquet"
    pl.read_csv(folder / "n.csv", schema_overrides=dict(NSL_KDD.schema)).write_parquet(part)
    (folder / "workshop").mkdir()
    source = StudySource(
        name="n.csv", content_sha256="c" * 64, columns=(), rows_quarantined=0, advisories=()
    )
    return study(
        read_training_rows([part], NSL_KDD),
        NSL_KDD,
        source,
        folder / "workshop",
        1,
        lambda _: None,
        selections=("none", "forest"),
        classifiers=("lightgbm", "random_forest"),
    )


@pytest.fixture
def seen(report: StudyReport, launch: "Launch", tmp_path: Path) -> Iterator[dict[str, object]]:
    """Open the page offline; say what it asked for, complained of, and drew."""
    path = tmp_path / "study.html"
    path.write_text(render_study(report))
    with launch() as browser:
        context = browser.new_context(offline=True, viewport={"width": 1400, "height": 1000})
        page = context.new_page()
        asked: list[str] = []
        troubles: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda line: troubles.append(line.text) if line.type == "error" else None,
        )
        page.goto(path.as_uri())
        page.wait_for_function("document.body.dataset.drawn !== undefined")
        drawn = page.eval_on_selector_all(
            ".plot", "all => all.filter(one => one.querySelector('.main-svg')).map(one => one.id)"
        )
        outliers = page.locator("#boxes .points path").count()
        cells = page.locator("#cells tbody tr").count()
        page.set_viewport_size({"width": 400, "height": 800})
        page.wait_for_function("document.documentElement.scrollWidth <= 400")  # nothing hangs over
        page.screenshot(path=tmp_path / "page.png")
        yield {
            "asked": [url for url in asked if not url.startswith(("data:", "blob:"))],
            "troubles": troubles,
            "drawn": set(drawn),
            "outliers": outliers,
            "cells": cells,
            "address": path.as_uri(),
        }
        context.close()


def test_every_plot_is_drawn_without_a_network(
    report: StudyReport, seen: dict[str, object]
) -> None:
    assert seen["asked"] == [seen["address"]]
    assert [one for one in seen["troubles"] if "WebGL" not in str(one)] == []  # type: ignore[attr-defined]  # a list
    assert seen["drawn"] == set(draw(report))
    assert isinstance(seen["outliers"], int)
    assert seen["outliers"] > 0
    assert seen["cells"] == 2
