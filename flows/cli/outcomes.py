"""How the outcomes of flows look on a terminal.

Belongs here: one function for each kind of outcome. Does not belong here: outcomes as artifacts
(``tasks.reporting``), or how an evaluation looks (``flows.cli.evaluations``).
"""

from collections.abc import Mapping
from typing import Any

from flows.cli.evaluations import show_evaluation, show_families, show_points
from flows.cli.printing import say
from flows.cli.tables import ratio_text, show_heading, show_rows
from flows.settings import Settings
from storage.database import name_database
from tasks.reporting.outcomes import NightOutcome
from tasks.retraining.decide import RetrainedContracts, RetrainOutcome
from tasks.retraining.gate import GateResult
from tasks.training.register import TrainingOutcome
from tasks.training.threshold_choice import NOVEL_SHARE
from tasks.training.training_metrics import HeldOutGroupMetrics
from tasks.wording import plural, some_of


def show_night(night: NightOutcome, settings: Settings) -> None:
    """Print the outcome of each file of a night, and where the results are."""
    known = ["rows_known"] if any(outcome.rows_known for outcome in night.files) else []
    columns = ["file_name", "batch_date", "status", "rows_read", "rows_scored", "rows_quarantined",
               "rows_rejected", *known, "rows_flagged", "message"]  # fmt: skip
    if night.has_several_contracts:
        columns.insert(2, "contract")
    rows = [outcome.model_dump() for outcome in night.files]
    show_rows(rows, columns, empty=f"Nothing to do: {night.summary}.")
    for one in night.open_rejections:
        say(f"open: {one.description}")
    if night.open_rejections:
        say(f"{night.advice}.")
    for skipped in night.skipped:
        say(f"left for next time: {skipped.file_name}: {skipped.reason}")
    for outcome in night.files:
        for advisory in outcome.advisories:
            say(f"{outcome.file_name}: {advisory}")
        if outcome.drifted:
            say(f"{outcome.file_name}: drifted: {some_of(outcome.drifted)}")
        for report in outcome.reports:
            say(f"{outcome.file_name}: report {report}")
    if night.files:
        say(f"database: {name_database(settings.database_address, settings.home)}")


def show_training(outcome: TrainingOutcome) -> None:
    """Print a model version and its figures, on rows and attacks held out of its training."""
    fit = outcome.fit
    place = "champion: it scores from now on" if outcome.is_champion else "challenger"
    classes = ", ".join(f"{count:,} {name}" for name, count in fit.classes.items())
    say(f"{outcome.model_version} ({place})")
    say(f"fitted on {plural(fit.rows, 'connection')}: {classes}")
    if outcome.rows_quarantined:
        say(f"{plural(outcome.rows_quarantined, 'row')} could not be used")
    for advisory in outcome.advisories:
        say(f"reported: {advisory}")
    if fit.metrics.known is not None:
        show_evaluation(
            fit.metrics.known, title="Rows held out of fit and choice of thresholds (random split)"
        )
    _show_held_out(fit.metrics.unknown_made_from, fit.metrics.unknown)
    _show_held_out("name", fit.metrics.unknown_attacks)
    if fit.metrics.mixed:
        title = f"Expected where {NOVEL_SHARE:.0%} of the attacks are new to the model"
        show_points(fit.metrics.mixed, title)
    if fit.metrics.categories is not None:
        show_families(fit.metrics.categories)
    version = outcome.model_version
    say(f"evaluate it on other labelled files: noctule evaluate FILE --model {version}")
    if not outcome.is_champion:
        say(f"let it score: noctule promote {version} --reason WHY")


def _show_held_out(made_from: str, attacks: Mapping[str, HeldOutGroupMetrics]) -> None:
    """Print the recall of attacks held out of the fit and of the choice of thresholds."""
    rows = [
        {
            "held out": name,
            "rows": metrics.rows,
            "roc_auc": metrics.roc_auc,
            "default": _pair(metrics.recall_default, metrics.false_positive_rate_default),
            "low_alert": _pair(metrics.recall_low_alert, metrics.false_positive_rate_low_alert),
            "p50": _pair(metrics.recall_p50, metrics.false_positive_rate_p50),
        }
        for name, metrics in attacks.items()
    ]
    title = (
        f"Attacks held out of fit and choice of thresholds (by {made_from}): recall, and the"
        " false-positive rate at the same threshold"
    )
    show_rows(rows, title=title)


def _pair(recall: float, rate: float) -> str:
    """Return a recall with the false-positive rate at the same threshold."""
    return f"{ratio_text(recall)} at {ratio_text(rate)}"


def show_retraining(outcome: RetrainOutcome | RetrainedContracts) -> None:
    """Print the decision on each challenger, with the figures that it follows from."""
    if isinstance(outcome, RetrainedContracts):
        for contract, of_contract in outcome.outcomes.items():
            show_heading(f"Contract {contract}")
            show_retraining(of_contract)
        for contract, why in outcome.failures.items():
            say(f"{contract} was not retrained: {why}", is_error=True)
        return
    say(outcome.message)
    say(
        f"fitted on {plural(outcome.rows_fit, 'connection')};"
        f" {plural(outcome.rows_judged, 'labelled connection')} of"
        f" {plural(len(outcome.judged_nights), 'night')} to compare on"
        f" ({outcome.rows_seen:,} more left out as copies of rows fitted on)"
    )
    decided = [one.model_dump(exclude={"verdict"}) for one in outcome.decisions]
    show_rows(decided, ["recipe", "model_version", "decision", "reason"])
    for one in outcome.decisions:
        if one.verdict is not None:
            show_comparison(one.recipe, one.verdict)
    for note in outcome.notes:
        say(f"not used: {note}")


def show_comparison(recipe: str, result: GateResult) -> None:
    """Print how a challenger compares with the champion, on each source of labelled rows."""
    compared: list[dict[str, Any]] = [
        {
            "compared on": one.name,
            "rows": one.rows,
            "attacks": one.attacks,
            "champion": one.champion,
            "challenger": one.challenger,
            "gain": one.gain and (one.gain.low, one.gain.high),
            "change of F1": one.f1 and (one.f1.low, one.f1.high),
            "change of FPR": one.false_positives
            and (one.false_positives.low, one.false_positives.high),
        }
        for one in result.comparisons
    ]
    title = f"{recipe}: attacks found at 1 % false positives, and changes with 95 % intervals"
    show_rows(compared, title=title)
    points: list[dict[str, Any]] = [
        {
            "compared on": one.name,
            "model": model,
            "point": name,
            "accuracy": point.accuracy,
            "FPR": point.false_positive_rate,
            "FPR 95 %": point.false_positive_rate_interval,
            "recall": point.recall,
        }
        for one in result.comparisons
        for model, of_model in one.points.items()
        for name, point in of_model.items()
    ]
    show_rows(points, title=f"{recipe}: at each operating point")
