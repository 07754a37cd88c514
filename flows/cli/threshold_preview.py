"""``noctule thresholds``: how many alerts each setting would have given on the stored nights.

Belongs here: which settings are previewed, and how they are printed. Does not belong here: counting
scores (``storage.nights``), or how a setting becomes a threshold
(``tasks.evaluation.operating_points``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

from pydantic import BaseModel
from sqlalchemy import Engine

from expectations.errors import UsageError
from expectations.registry import get_contract
from flows.cli.printing import print_json, say
from flows.cli.tables import show_rows
from flows.contracts import choose_champion
from flows.places import open_database
from flows.plan import look_back
from flows.settings import Settings
from storage.lake import batch_folder, read_accepted, read_summary
from storage.model_store import load_verified
from storage.nights import ScoredBatch, count_above
from storage.queries import training_sources
from tasks.detectors.model_card import ModelCard, read_card
from tasks.evaluation.labels import LabelledCounts, count_labelled_above
from tasks.evaluation.operating_points import ThresholdChoice, choose_threshold
from tasks.ratios import ratio
from tasks.scoring.score import ScoreSummary
from tasks.validation.summary import ValidationSummary
from tasks.wording import plural

RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
"""False-positive rates that are previewed besides the user's own: from one alert in 2,000 normal
connections to one in 50. A guess at what users want."""

BUDGETS = (20, 100)
"""Alerts per night that are previewed besides the user's own budget: what one analyst reads in a
morning, and what a team reads. A guess."""


class PreviewedSetting(BaseModel, frozen=True):
    """A way to choose the threshold, and what it would have flagged on each night."""

    setting: str
    is_in_force: bool
    """Whether this is the user's present setting."""
    threshold: float
    """The threshold that it gives tonight."""
    target_rate: float | None
    """Share of the held-out normal rows that it flags; for a budget, share of all connections."""
    usual_night: float | None
    """Alerts of the median night; None where no night is stored."""
    worst_night: int | None
    """Alerts of the night with the most; None where no night is stored."""
    false_positive_rate: float | None
    """Share of the nights' rows labelled normal that it flags; None where no row is so labelled."""
    alerts: dict[date, int]
    """Number of alerts by night."""


class Preview(BaseModel, frozen=True):
    """What each setting would have flagged on the stored nights."""

    model_version: str
    rows: dict[date, int]
    """Connections that the model scored, live or as a shadow, by night."""
    batches_fitted_on: int
    """Number of those nights' batches that the model was fitted on. They are left out of every
    false-positive rate."""
    settings: tuple[PreviewedSetting, ...]


@dataclass(frozen=True)
class _Chosen:
    """A setting, and its threshold on each night."""

    name: str
    is_in_force: bool
    tonight: ThresholdChoice
    by_night: Mapping[date, float] = field(default_factory=dict)
    """Thresholds that differ from night to night: a budget's depends on the nights before."""

    def threshold(self, night: date) -> float:
        """Return the threshold on a night."""
        return self.by_night.get(night, self.tonight.threshold)


def show_thresholds(
    settings: Settings, model_version: str | None, nights: int, *, as_json: bool
) -> None:
    """Print what each setting would have flagged on the latest nights.

    Raises:
        UsageError: there is no model.
        ModelRefusedError: its files are not those that were registered.
    """
    found = preview_thresholds(settings, model_version, nights)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    rows = [one.model_dump(exclude={"alerts"}) for one in found.settings]
    columns = ["setting", "is_in_force", "threshold", "target_rate", "usual_night", "worst_night"]
    if any(row["false_positive_rate"] is not None for row in rows):
        columns.append("false_positive_rate")
    of_nights = (
        f"{plural(len(found.rows), 'night')} of {plural(sum(found.rows.values()), 'connection')}"
        if found.rows
        else "it has scored no stored night"
    )
    show_rows(rows, columns, title=f"Alerts per night by {found.model_version}: {of_nights}")
    if found.batches_fitted_on:
        files = plural(found.batches_fitted_on, "file")
        say(f"the false-positive rates leave out {files} that the model was fitted on")
    if not found.rows:
        say(f"let it score beside the champion: NOCTULE_SHADOW={found.model_version}")
    say(
        "choose with NOCTULE_OPERATING_POINT=default or low_alert; for low_alert, set another rate"
        " with NOCTULE_LOW_ALERT_RATE, or the most alerts per night with NOCTULE_ALERT_BUDGET"
    )


def preview_thresholds(settings: Settings, model_version: str | None, nights: int) -> Preview:
    """Return what each setting would have flagged; arguments as of ``show_thresholds``."""
    with open_database(settings) as engine:
        version = model_version or choose_champion(settings, engine).version
        folder = load_verified(engine, settings.models, version)
        card = read_card(folder)
        dates = sorted({one.night for one in count_above(engine, version, [], nights=nights)})
        chosen = list_settings(settings, engine, version, folder, dates)
        thresholds = sorted({one.threshold(night) for one in chosen for night in dates})
        batches = count_above(engine, version, thresholds, nights=nights)
        fitted_on = training_sources(engine, version)
    new = [one for one in batches if one.batch_id not in fitted_on]
    labelled = count_labels(settings, card, version, new, thresholds)
    return Preview(
        model_version=version,
        rows={night: sum(one.rows for one in batches if one.night == night) for night in dates},
        batches_fitted_on=len(batches) - len(new),
        settings=tuple(preview_setting(one, batches, labelled, thresholds) for one in chosen),
    )


def list_settings(
    settings: Settings, engine: Engine, version: str, folder: Path, dates: Sequence[date]
) -> list[_Chosen]:
    """List the settings that are previewed: operating points, rates, budgets, the user's own."""
    card = read_card(folder)
    is_low = settings.operating_point == "low_alert"
    rate = settings.low_alert_rate if is_low else None
    budget = settings.alert_budget if is_low else None
    own = rate is None and budget is None
    chosen = [
        _Chosen(name, own and settings.operating_point == name, choose_threshold(card, name))
        for name in ("default", "low_alert")
    ]
    if card.thresholds.normal is None:
        return chosen
    for one in sorted({*RATES, rate or RATES[0]}):
        choice = choose_threshold(card, "low_alert", rate=one)
        chosen.append(_Chosen(f"low_alert at {one:.2%}", one == rate, choice))
    for alerts in sorted({*BUDGETS, budget or BUDGETS[0]}):
        with_budget = settings.model_copy(update={"alert_budget": alerts})
        choices = {
            before: choose_threshold(
                card,
                "low_alert",
                budget=alerts,
                nights=look_back(with_budget, engine, version, folder, before),
            )
            for before in (*dates, date.max)
        }
        by_night = {night: choice.threshold for night, choice in choices.items()}
        name = f"low_alert, {plural(alerts, 'alert')} a night"
        chosen.append(_Chosen(name, alerts == budget, choices[date.max], by_night))
    return chosen


def preview_setting(
    chosen: _Chosen,
    batches: Sequence[ScoredBatch],
    labelled: Mapping[str, Sequence[LabelledCounts]],
    thresholds: Sequence[float],
) -> PreviewedSetting:
    """Return one setting's alerts by night.

    Args:
        chosen: the setting.
        batches: each with the number of its scores above each threshold.
        labelled: batch id -> labelled rows above each threshold, for batches whose labels are in
            the lake.
        thresholds: the thresholds, in the order of these counts.
    """
    alerts: dict[date, int] = {}
    counts = LabelledCounts()
    for one in batches:
        index = thresholds.index(chosen.threshold(one.night))
        alerts[one.night] = alerts.get(one.night, 0) + one.counts[index]
        if one.batch_id in labelled:
            counts += labelled[one.batch_id][index]
    return PreviewedSetting(
        setting=chosen.name,
        is_in_force=chosen.is_in_force,
        threshold=chosen.tonight.threshold,
        target_rate=chosen.tonight.target_flag_rate,
        usual_night=float(median(alerts.values())) if alerts else None,
        worst_night=max(alerts.values(), default=None),
        false_positive_rate=ratio(counts.flagged_normal, counts.normal),
        alerts=dict(sorted(alerts.items())),
    )


def count_labels(
    settings: Settings,
    card: ModelCard,
    version: str,
    batches: Sequence[ScoredBatch],
    thresholds: Sequence[float],
) -> dict[str, list[LabelledCounts]]:
    """Count the labelled rows above each threshold, of each batch whose files are in the lake."""
    contract = get_contract(card.contract)
    found = {}
    for one in batches:
        folder = batch_folder(settings.lake, contract.name, one.batch_id)
        done = find_stages(folder, version)
        if done is None:
            continue
        totals = [LabelledCounts() for _ in thresholds]
        for part, scores in zip(done[0].parts, done[1].parts, strict=True):
            counts = count_labelled_above(folder / part.path, folder / scores, contract, thresholds)
            totals = [total + more for total, more in zip(totals, counts, strict=True)]
        found[one.batch_id] = totals
    return found


def find_stages(folder: Path, version: str) -> tuple[ValidationSummary, ScoreSummary] | None:
    """Return the summaries of validation and scoring in a batch's folder.

    Returns:
        None where the folder was removed, or where it is damaged, which is then printed.
    """
    if not folder.exists():
        return None
    try:
        return (
            read_accepted(folder, ValidationSummary),
            read_summary(folder / f"score-{version}", ScoreSummary),
        )
    except UsageError as error:
        say(f"labels not counted: {error}", is_error=True)
        return None
