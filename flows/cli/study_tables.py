"""How a study looks on a terminal.

Belongs here: the tables of a study's report. Does not belong here: the page
(``tasks.study.page``), or running the study (``flows.cli.study``).
"""

from flows.cli.printing import say
from flows.cli.study import Studied
from flows.cli.tables import show_rows
from tasks.study.page import tabulate
from tasks.study.study import StudyReport
from tasks.wording import plural


def show_study(studied: Studied) -> None:
    """Print the tables of a study, then what was left out, and where the report is."""
    report = studied.report
    _show_split(report)
    _show_further_splits(report)
    _show_unsupervised(report)
    _show_reconstructions(report)
    for cell, why in report.comparison.failed.items():
        say(f"could not be fitted: {cell}: {why}")
    say(
        f"{plural(report.glance.rows, 'labelled row')}, {report.glance.duplicates:,} of them"
        f" duplicates, {report.glance.conflicts:,} both normal and attack"
    )
    for advisory in report.advisories:
        say(f"reported: {advisory}")
    say(f"page: {studied.page}")
    say(f"data: {studied.data}")


def _show_split(report: StudyReport) -> None:
    """Print accuracy and false-positive rate: a row per classifier, a column per selection."""
    rows = [
        {
            "classifier": name,
            **{
                selection: cell and f"{cell.test.accuracy:.2%} {cell.test.false_positive_rate:.2%}"
                for selection, cell in cells.items()
            },
        }
        for name, cells in tabulate(report).items()
    ]
    title = f"Accuracy on one split, seed {report.seed}, and the false-positive rate"
    show_rows(rows, empty="no cell could be fitted", title=title)


def _show_further_splits(report: StudyReport) -> None:
    """Print how accurate the best pairs are on further splits."""
    rows = [
        {
            "classifier": one.classifier,
            "selection": one.selection,
            "mean": f"{one.mean:.3%}",
            "sd": f"{one.sd:.3%}",
            "FPR": f"{one.false_positive_rate:.3%}",
            "gain": None if one.gain_mean is None else f"{one.gain_mean * 100:+.3f}",
            "gain sd": None if one.gain_sd is None else f"{one.gain_sd * 100:.3f}",
            "better on": f"{one.splits_better} of {len(one.accuracies)}",
            "": "finalist" if one.is_finalist else "first work",
        }
        for one in report.comparison.repeated
    ]
    show_rows(rows, title="Five further splits; gain in points over forest and random_forest")


def _show_unsupervised(report: StudyReport) -> None:
    """Print how well methods without labels find the classes again."""
    rows = [
        {
            "method": one.method,
            "ARI train": one.refused if one.ari_train is None else f"{one.ari_train:.5f}",
            "ARI test": None if one.ari_test is None else f"{one.ari_test:.5f}",
            "outliers train": one.flagged_train,
            "outliers test": one.flagged_test,
        }
        for one in report.unsupervised
    ]
    show_rows(rows, title="Without labels")


def _show_reconstructions(report: StudyReport) -> None:
    """Print what each autoencoder finds at each percentile of its errors."""
    rows = [
        {
            "autoencoder": one.recipe,
            "ROC AUC": "-" if one.roc_auc is None else f"{one.roc_auc:.4f}",
            "percentile": at.percentile,
            "accuracy": f"{at.test.accuracy:.2%}",
            "recall": _percent(at.test.attack.recall),
            "false positives": _percent(at.test.normal.recall, is_rest=True),
        }
        for one in report.reconstructions
        for at in one.thresholds
    ]
    title = "Autoencoders, cut at percentiles of the errors of normal training rows"
    show_rows(rows, title=title)


def _percent(share: float | None, *, is_rest: bool = False) -> str:
    """Return a share, or one minus the share, in percent."""
    if share is None:
        return "-"
    return f"{1 - share if is_rest else share:.2%}"
