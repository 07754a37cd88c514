"""The page of a study: one file that opens anywhere, without a network.

Belongs here: rendering, and the table of classifiers. Does not belong here: the figures
(``figures``).

Plotly's library is part of the page, so that the page works offline. Every value that comes from
the file is escaped.
"""

from tasks.pages.templates import open_template
from tasks.study.results import ClassifierResult
from tasks.study.study import StudyReport

TEMPLATE = "study/page.html"


def render_study(report: StudyReport) -> str:
    """Return the page of a study as one HTML document."""
    from markupsafe import Markup
    from plotly.io.json import to_json_plotly
    from plotly.offline import get_plotlyjs

    from tasks.study.figures import draw_figures, find_best

    return open_template(TEMPLATE).render(
        report=report,
        table=tabulate(report),
        best=find_best(report),
        figures=Markup(to_json_plotly(draw_figures(report))),  # noqa: S704 - it escapes <, > and /
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - of the library
    )


def tabulate(report: StudyReport) -> dict[str, dict[str, ClassifierResult | None]]:
    """Arrange the cells of the first split: a row for each classifier, a column a selection."""
    cells = report.comparison.cells
    selections = list(dict.fromkeys(cell.selection for cell in cells))
    found = {(cell.classifier, cell.selection): cell for cell in cells}
    return {
        name: {selection: found.get((name, selection)) for selection in selections}
        for name in dict.fromkeys(cell.classifier for cell in cells)
    }
