"""How the figures of an evaluation look on a terminal.

Belongs here: tables of operating points, attacks and families. Does not belong here: computing them
(``tasks.evaluation``, ``tasks.training.families``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flows.cli.printing import say
from flows.cli.tables import ratio_text, show_rows
from tasks.evaluation.evaluate import AttackRecall, Evaluation
from tasks.evaluation.metrics import FlagMetrics
from tasks.training.families import FamilyMetrics
from tasks.wording import plural


def show_evaluation(evaluation: Evaluation, title: str = "") -> None:
    """Print the figures of an evaluation: each threshold, then recall by attack."""
    show_points(evaluation.operating_points, title)
    ranking = [
        f"{name} {value:.5f}"
        for name, value in (
            ("ROC AUC", evaluation.roc_auc),
            ("average precision", evaluation.average_precision),
        )
        if value is not None
    ]
    say("; ".join([plural(evaluation.rows, "labelled row"), *ranking]))
    if compared := _compare_simply(evaluation):
        say("; ".join(compared))
    for rows, why in (
        (evaluation.rows_unlabelled, "without a label"),
        (evaluation.rows_quarantined, "quarantined"),
    ):
        if rows:
            say(f"{plural(rows, 'more row')} not evaluated: {why}")
    for advisory in evaluation.advisories:
        say(f"reported: {advisory}")
    copies = plural(evaluation.rows_seen_in_training, "row")
    best = evaluation.cleanest
    if evaluation.without_seen is not None:
        auc = ratio_text(best.roc_auc)
        say(f"all that follows is without {copies} with features that the model was fitted on")
        show_points(best.operating_points, f"Without those {copies}; ROC AUC {auc}")
    elif evaluation.rows_seen_in_training:
        say(
            f"the figures have no meaning: the model was fitted on the features of all {copies}."
            " Evaluate it on other traffic."
        )
    if best.calibration is not None:
        say(
            f"probabilities of the classifier: Brier score {best.calibration.brier:.5f},"
            f" expected calibration error {best.calibration.expected_error:.5f}"
        )
    if best.families:
        show_recalls(best.families, ["family", "taught", "rows"])
        show_recalls(best.attacks, ["attack", "family", "taught", "rows"])


def _compare_simply(evaluation: Evaluation) -> list[str]:
    """Return what the figures should be compared with: the best single feature, and the copies."""
    best, share = evaluation.best_feature, evaluation.duplicate_share
    without = "" if evaluation.without_seen is None else f" on {evaluation.cleanest.rows:,} rows"
    compared = []
    if best is not None:
        compared.append(f"best single feature {best.feature}: ROC AUC {best.roc_auc:.5f}{without}")
    if share is not None:
        compared.append(f"copies of an earlier row: {share:.2%}")
    return compared


def show_points(points: Mapping[str, FlagMetrics], title: str = "") -> None:
    """Print the figures of each operating point, in a column each."""
    shown = {name: point.model_dump() for name, point in points.items()}
    figures = [
        {"figure": figure.replace("_", " "), **{name: shown[name][figure] for name in shown}}
        for figure in next(iter(shown.values()))
    ]
    show_rows(figures, title=title)


def show_recalls(recalls: Sequence[AttackRecall], columns: Sequence[str]) -> None:
    """Print the share of each attack, or family, that each operating point finds."""
    points = list(recalls[0].recall)
    rows = [
        {
            "attack": one.name,
            "family": one.family,
            "taught": one.is_seen,
            "rows": one.rows,
            **{f"recall {point}": value for point, value in one.recall.items()},
        }
        for one in recalls
    ]
    show_rows(rows, [*columns, *(f"recall {point}" for point in points)])


def show_families(found: FamilyMetrics) -> None:
    """Print how often families of attacks are named, and how often rightly."""
    rows: list[dict[str, Any]] = [
        {"attacks": "of a name in the training rows", "named": found.known_named,
         "of those right": found.known_right},
        {"attacks": "of a name held out", "named": found.novel_named,
         "of those right": found.novel_right},
    ]  # fmt: skip
    title = f"Families that it names: {', '.join(found.families)}; the rest is unknown"
    show_rows(rows, title=title)
