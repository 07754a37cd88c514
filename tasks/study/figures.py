"""The figures of a study's page, as Plotly draws them.

Belongs here: which figures there are, and how they look. Does not belong here: the values in them,
or the page around them (``page``).
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import log10
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BaseTraceType

from tasks.study.overview import Box
from tasks.study.reconstruction import Reconstruction
from tasks.study.results import ClassifierResult, Curve
from tasks.study.study import StudyReport

COLOURS = {"normal": "#3b6fb6", "attack": "#c4472b"}
"""The colours of the two classes; people who do not see red or green can distinguish them."""

LINES = ("#3b6fb6", "#c4472b", "#3d8b5f", "#8a5aa8", "#b07d1a")

CURVES_SHOWN = 4
"""Classifiers whose curves are drawn, the most accurate first. A guess: more cover each other."""

STYLE = go.layout.Template(
    layout={
        "margin": {"l": 60, "r": 20, "t": 60, "b": 50},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "font": {"color": "#1b1f24"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
)

Figures = dict[str, go.Figure]
"""The figures by the id of their place in the page."""


def draw_figures(report: StudyReport) -> Figures:
    """Draw every figure of the page."""
    return {
        **_draw_data(report),
        **_draw_embedding(report),
        **_draw_classifiers(report),
        **_draw_reconstructions(report),
    }


def find_best(report: StudyReport) -> list[ClassifierResult]:
    """Return the most accurate cell of each classifier on the first split, the best first."""
    order = sorted(
        report.comparison.cells, key=lambda cell: (-cell.test.accuracy, -(cell.roc_auc or 0))
    )
    return list({cell.classifier: cell for cell in reversed(order)}.values())[::-1][:CURVES_SHOWN]


def _figure(data: Iterable[BaseTraceType], x: str = "", y: str = "", **layout: Any) -> go.Figure:  # noqa: ANN401 - options of Plotly's layout
    titles = {"xaxis_title_text": x, "yaxis_title_text": y}
    return go.Figure(list(data), {"template": STYLE, **titles, **layout})


def _draw_data(report: StudyReport) -> Figures:
    overview, ranked = report.glance, report.importances[::-1]
    balance = go.Bar(
        x=list(overview.classes),
        y=list(overview.classes.values()),
        text=[f"{count:,}" for count in overview.classes.values()],
        marker_color=list(COLOURS.values()),
    )
    correlations = go.Heatmap(
        x=overview.correlations.names,
        y=overview.correlations.names,
        z=overview.correlations.coefficients,
        zmin=-1,
        zmax=1,
        colorscale="RdBu",
    )
    boxes = [
        _draw_boxes(name, {quantity: by[name] for quantity, by in overview.boxes.items()})
        for name in COLOURS
    ]
    importances = go.Bar(
        orientation="h",
        x=[one.importance for one in ranked],
        y=[one.column for one in ranked],
        marker_color=COLOURS["normal"],
    )
    wide = {"l": 220}
    return {
        "balance": _figure([balance], y="rows"),
        "correlations": _figure([correlations], height=760, margin={"l": 190, "b": 190}),
        "boxes": _figure(
            boxes, "sign(x) log10(1 + |x|)", height=1_500, boxmode="group", margin=wide
        ),
        "importances": _figure([importances], "mean decrease in impurity", height=560, margin=wide),
    }


def _draw_boxes(name: str, boxes: Mapping[str, Box]) -> go.Box:
    rows = list(boxes.values())[::-1]
    return go.Box(
        orientation="h",
        name=name,
        y=list(boxes)[::-1],
        q1=[box.quartile_low for box in rows],
        median=[box.median for box in rows],
        q3=[box.quartile_high for box in rows],
        lowerfence=[box.whisker_low for box in rows],
        upperfence=[box.whisker_high for box in rows],
        x=[list(box.drawn) for box in rows],
        boxpoints="all",
        jitter=0,
        pointpos=0,
        marker={"color": COLOURS[name], "size": 3},
    )


def _draw_embedding(report: StudyReport) -> Figures:
    sample = report.embedding
    flat, deep = [], []
    for is_attack, (name, colour) in enumerate(COLOURS.items()):
        kept = [index for index, one in enumerate(sample.is_attack) if one is bool(is_attack)]
        style = {"mode": "markers", "name": name}
        marker = {"color": colour, "opacity": 0.6}
        x, y = ([sample.flat[index][axis] for index in kept] for axis in (0, 1))
        flat.append(go.Scattergl(x=x, y=y, marker={**marker, "size": 4}, **style))
        x, y, z = ([sample.deep[index][axis] for index in kept] for axis in (0, 1, 2))
        deep.append(go.Scatter3d(x=x, y=y, z=z, marker={**marker, "size": 2}, **style))
    return {"tsne-2d": _figure(flat, height=560), "tsne-3d": _figure(deep, height=640)}


def _draw_classifiers(report: StudyReport) -> Figures:
    named = {f"{cell.classifier}, {cell.selection}": cell for cell in find_best(report)}
    return {
        # A log scale separates curves that are all near the corner.
        "roc": _figure(
            _draw_curves({name: cell.roc for name, cell in named.items()}),
            "false-positive rate, log scale",
            "recall",
            xaxis_type="log",
        ),
        "precision": _figure(
            _draw_curves({name: cell.precision_recall for name, cell in named.items()}),
            "recall",
            "precision",
        ),
        **{
            f"confusion-{number}": _draw_confusion(cell.test.confusion)
            for number, cell in enumerate(named.values())
        },
    }


def _draw_curves(curves: Mapping[str, Curve]) -> list[go.Scatter]:
    return [
        go.Scatter(mode="lines", x=curve.x, y=curve.y, name=name, line_color=colour)
        for (name, curve), colour in zip(curves.items(), LINES, strict=False)
    ]


def _draw_confusion(confusion: tuple[tuple[int, int], tuple[int, int]]) -> go.Figure:
    data = go.Heatmap(
        x=list(COLOURS),
        y=list(COLOURS),
        z=confusion,
        text=[[f"{count:,}" for count in row] for row in confusion],
        texttemplate="%{text}",
        colorscale=[[0, "#f1f4f9"], [1, COLOURS["normal"]]],
        showscale=False,
    )
    # Normal comes first, as in the rows of the matrix.
    return _figure([data], "predicted", "actual", height=300, yaxis_autorange="reversed")


def _draw_reconstructions(report: StudyReport) -> Figures:
    roc = {one.recipe: one.roc for one in report.reconstructions}
    precision = {one.recipe: one.precision_recall for one in report.reconstructions}
    figures = {
        "autoencoder-roc": _figure(_draw_curves(roc), "false-positive rate", "recall"),
        "autoencoder-precision": _figure(_draw_curves(precision), "recall", "precision"),
    }
    for one in report.reconstructions:
        figures[f"history-{one.recipe}"] = _draw_history(one)
        figures[f"errors-{one.recipe}"] = _draw_errors(one)
        for at in one.thresholds:
            place = f"confusion-{one.recipe}-{at.percentile}"
            figures[place] = _draw_confusion(at.test.confusion)
    return figures


def _draw_history(one: Reconstruction) -> go.Figure:
    epochs = tuple(range(1, len(one.history) + 1))
    losses = {
        words: Curve(x=epochs, y=tuple(epoch[name] for epoch in one.history))
        for name, words in (("loss", "training rows"), ("held_out_loss", "held-out rows"))
    }
    return _figure(_draw_curves(losses), "epoch", "loss")


def _draw_errors(one: Reconstruction) -> go.Figure:
    centres = [(low + high) / 2 for low, high in pairwise(one.histogram.edges)]
    counts = (one.histogram.normal, one.histogram.attack)
    figure = _figure(
        (
            go.Bar(name=name, x=centres, y=of_class, marker_color=colour)
            for (name, colour), of_class in zip(COLOURS.items(), counts, strict=True)
        ),
        "log10 of the error",
        "rows of the test part",
        barmode="overlay",
        bargap=0,
    )
    for at, side in zip(one.thresholds, ("left", "right"), strict=True):
        figure.add_vline(
            log10(max(at.threshold, 1e-12)),
            annotation_text=f"{at.percentile}th",
            annotation_position=f"top {side}",
        )
    return figure
