"""The page of a study: one file that opens anywhere, without network.

Belongs here: which plots there are, and rendering. Does not belong here: any figure in them.

Plotly's library is part of the page, so that it works offline; nothing is fetched. Everything from
the file is escaped.
"""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from math import log10
from typing import Any

from tasks.pages.templates import open_template
from tasks.study.comparison import ClassifierResult
from tasks.study.overview import Box
from tasks.study.reconstruction import Reconstruction
from tasks.study.study import StudyReport

TEMPLATE = "study/page.html"

NORMAL, ANOMALY = "#3b6fb6", "#c4472b"
"""Of the two classes in every plot; told apart by those who see no red or no green too."""

LINES = ("#3b6fb6", "#c4472b", "#3d8b5f", "#8a5aa8", "#b07d1a")

CURVES_SHOWN = 4
"""Classifiers whose curves are drawn, the most accurate first. A guess: more lie on each other."""

Figure = dict[str, Any]


def render_study(report: StudyReport) -> str:
    """Render the page of a study.

    Returns:
        One self-contained HTML document.
    """
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    figures = draw(report)
    return open_template(TEMPLATE).render(
        report=report,
        table=tabulate(report),
        best=find_best(report),
        # What is within a script element ends at "</", wherever that stands.
        figures=Markup(json.dumps(figures, separators=(",", ":")).replace("</", "<\\/")),  # noqa: S704 - escaped
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - of the library
    )


def tabulate(report: StudyReport) -> dict[str, dict[str, ClassifierResult | None]]:
    """Arrange the cells: a row a classifier, a column a selection."""
    cells = report.comparison.cells
    selections = list(dict.fromkeys(cell.selection for cell in cells))
    found = {(cell.classifier, cell.selection): cell for cell in cells}
    return {
        name: {selection: found.get((name, selection)) for selection in selections}
        for name in dict.fromkeys(cell.classifier for cell in cells)
    }


def find_best(report: StudyReport) -> list[ClassifierResult]:
    """List the most accurate cells of the first split, one of each classifier."""
    order = sorted(
        report.comparison.cells, key=lambda cell: (-cell.test.accuracy, -(cell.roc_auc or 0))
    )
    return list({cell.classifier: cell for cell in reversed(order)}.values())[::-1][:CURVES_SHOWN]


def draw(report: StudyReport) -> Mapping[str, Figure]:
    """Draw every plot, by the id of its place in the page."""
    parts: tuple[Callable[[StudyReport], Mapping[str, Figure]], ...] = (
        _draw_data,
        _draw_embedding,
        _draw_classifiers,
        _draw_reconstructions,
    )
    figures: dict[str, Figure] = {}
    for part in parts:
        figures |= part(report)
    return figures


def _figure(data: list[dict[str, Any]], x: str = "", y: str = "", **layout: object) -> Figure:
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    return {"data": data, "layout": {**axes, **layout}}


def _draw_data(report: StudyReport) -> Mapping[str, Figure]:
    glance = report.glance
    balance = [
        {
            "type": "bar",
            "x": list(glance.classes),
            "y": list(glance.classes.values()),
            "text": [f"{count:,}" for count in glance.classes.values()],
            "marker": {"color": [NORMAL, ANOMALY]},
        }
    ]
    together = glance.correlations
    heat = [
        {
            "type": "heatmap",
            "x": together.names,
            "y": together.names,
            "z": together.coefficients,
            "zmin": -1,
            "zmax": 1,
            "colorscale": "RdBu",
            "reversescale": True,
        }
    ]
    boxes = [
        _draw_box(name, {quantity: by[name] for quantity, by in glance.boxes.items()})
        for name in ("normal", "anomaly")
    ]
    importance = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [one.importance for one in report.importances][::-1],
            "y": [one.column for one in report.importances][::-1],
            "marker": {"color": NORMAL},
        }
    ]
    return {
        "balance": _figure(balance, y="rows"),
        "correlations": _figure(heat, height=760, margin={"l": 190, "b": 190}),
        "boxes": _figure(
            boxes,
            x="sign(x) log10(1 + |x|)",
            height=1_500,
            boxmode="group",
            margin={"l": 220},
        ),
        "importances": _figure(
            importance, x="mean decrease in impurity", height=560, margin={"l": 220}
        ),
    }


def _draw_box(name: str, boxes: Mapping[str, Box]) -> dict[str, Any]:
    rows = list(boxes.items())[::-1]
    return {
        "type": "box",
        "orientation": "h",
        "name": name,
        "y": [quantity for quantity, _ in rows],
        "q1": [box.quartile_low for _, box in rows],
        "median": [box.median for _, box in rows],
        "q3": [box.quartile_high for _, box in rows],
        "lowerfence": [box.whisker_low for _, box in rows],
        "upperfence": [box.whisker_high for _, box in rows],
        "x": [list(box.drawn) for _, box in rows],
        "boxpoints": "all",
        "jitter": 0,
        "pointpos": 0,
        "marker": {"color": NORMAL if name == "normal" else ANOMALY, "size": 3},
    }


def _draw_embedding(report: StudyReport) -> Mapping[str, Figure]:
    laid = report.embedding
    flat, deep = [], []
    for name, color, wanted in (("normal", NORMAL, False), ("anomaly", ANOMALY, True)):
        kept = [index for index, is_attack in enumerate(laid.is_attack) if is_attack is wanted]
        marker: dict[str, Any] = {"color": color, "size": 4, "opacity": 0.6}
        x, y = (([laid.flat[index][axis] for index in kept]) for axis in (0, 1))
        flat.append(
            {"type": "scattergl", "mode": "markers", "name": name, "x": x, "y": y, "marker": marker}
        )
        spots = [[laid.deep[index][axis] for index in kept] for axis in (0, 1, 2)]
        deep.append(
            {
                "type": "scatter3d",
                "mode": "markers",
                "name": name,
                "x": spots[0],
                "y": spots[1],
                "z": spots[2],
                "marker": {"color": color, "size": 2, "opacity": 0.6},
            }
        )
    return {
        "tsne-2d": _figure(flat, height=560),
        "tsne-3d": {"data": deep, "layout": {"height": 640}},
    }


def _draw_classifiers(report: StudyReport) -> Mapping[str, Figure]:
    best = find_best(report)
    roc, precision = [], []
    for cell, color in zip(best, LINES, strict=False):
        line = {"name": f"{cell.classifier}, {cell.selection}", "line": {"color": color}}
        roc.append({"mode": "lines", "x": cell.roc.x, "y": cell.roc.y, **line})
        curve = cell.precision_recall
        precision.append({"mode": "lines", "x": curve.x, "y": curve.y, **line})
    figures = {
        # Curves that hug the corner are told apart where false alarms are counted in decades.
        "roc": _figure(roc, "false-positive rate, log scale", "recall"),
        "precision": _figure(precision, "recall", "precision"),
    }
    figures["roc"]["layout"]["xaxis"]["type"] = "log"
    for number, cell in enumerate(best):
        figures[f"confusion-{number}"] = _draw_confusion(cell.test.confusion)
    return figures


def _draw_confusion(confusion: tuple[tuple[int, int], tuple[int, int]]) -> Figure:
    names = ["normal", "anomaly"]
    data = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": confusion,
        "text": [[f"{count:,}" for count in row] for row in confusion],
        "texttemplate": "%{text}",
        "colorscale": [[0, "#f1f4f9"], [1, NORMAL]],
        "showscale": False,
    }
    figure = _figure([data], "taken for", "is", height=300)
    figure["layout"]["yaxis"]["autorange"] = "reversed"  # normal first, as in the rows
    return figure


def _draw_reconstructions(report: StudyReport) -> Mapping[str, Figure]:
    figures: dict[str, Figure] = {}
    roc, precision = [], []
    for one, color in zip(report.reconstructions, LINES, strict=False):
        line = {"name": one.recipe, "line": {"color": color}}
        roc.append({"mode": "lines", "x": one.roc.x, "y": one.roc.y, **line})
        curve = one.precision_recall
        precision.append({"mode": "lines", "x": curve.x, "y": curve.y, **line})
        figures[f"history-{one.recipe}"] = _draw_history(one)
        figures[f"errors-{one.recipe}"] = _draw_errors(one)
        for at in one.thresholds:
            place = f"confusion-{one.recipe}-{at.percentile}"
            figures[place] = _draw_confusion(at.test.confusion)
    figures["autoencoder-roc"] = _figure(roc, "false-positive rate", "recall")
    figures["autoencoder-precision"] = _figure(precision, "recall", "precision")
    return figures


def _draw_history(one: Reconstruction) -> Figure:
    epochs = list(range(1, len(one.history) + 1))
    names = {"loss": "training rows", "held_out_loss": "rows held out"}
    lines = [
        {
            "mode": "lines",
            "name": words,
            "x": epochs,
            "y": [epoch[name] for epoch in one.history],
            "line": {"color": color},
        }
        for (name, words), color in zip(names.items(), LINES, strict=False)
    ]
    return _figure(lines, "epoch", "loss")


def _draw_errors(one: Reconstruction) -> Figure:
    edges = one.histogram.edges
    centres = [(low + high) / 2 for low, high in pairwise(edges)]
    bars = [
        {"type": "bar", "name": name, "x": centres, "y": counts, "marker": {"color": color}}
        for name, counts, color in (
            ("normal", one.histogram.normal, NORMAL),
            ("anomaly", one.histogram.anomaly, ANOMALY),
        )
    ]
    cuts = [log10(max(at.threshold, 1e-12)) for at in one.thresholds]
    lines = [
        {"type": "line", "x0": cut, "x1": cut, "y0": 0, "y1": 1, "yref": "paper"} for cut in cuts
    ]
    notes = [
        {"x": cut, "y": 1, "yref": "paper", "text": f"{at.percentile}th", "showarrow": False}
        for cut, at in zip(cuts, one.thresholds, strict=True)
    ]
    return _figure(
        bars,
        "log10 of the error",
        "rows of the test part",
        barmode="overlay",
        bargap=0,
        shapes=lines,
        annotations=notes,
    )
