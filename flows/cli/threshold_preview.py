"""``noctule thresholds``: what each setting would have flagged on the nights that are stored.

Belongs here: which settings are shown, and how. Does not belong here: counting (``storage.nights``)
or how a setting becomes a threshold (``tasks.evaluation.operating_points``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from expectations.errors import UsageError
from expectations.registry import get_contract
from flows.cli.printing import print_json, say
from flows.cli.tables import show_rows
from flows.places import open_database
from flows.plan import look_back
from flows.settings import Settings
from storage.lake import batch_folder, read_accepted, read_summary
from storage.model_store import champion, load_verified
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
"""False-positive rates that are previewed beside the settings: from one alert in 2,000 normal
connections to one in 50. A guess at what anyone would want."""


BUDGETS = (20, 100)
"""Alerts a night that are previewed beside the setting: what one analyst looks through in a
morning, and what a team does. A guess."""


class PreviewedSetting(BaseModel):
    """A way to choose the threshold, and what it would have flagged."""

    model_config = ConfigDict(frozen=True)

    setting: str
    is_in_force: bool
    """Whether the nights are scored so at present."""
    threshold: float
    """What it would be tonight."""
    target_rate: float | None
    """Share of held-out normals that it flags; of a budget, of all connections."""
    usual_night: float | None
    """Alerts of the median night; None where no night is stored."""
    worst_night: int | None
    false_positive_rate: float | None
    """Over those of the nights' rows that came with a label; None where none is normal."""
    alerts: dict[date, int]
    """By night."""


class Preview(BaseModel):
    """What each setting would have flagged."""

    model_config = ConfigDict(frozen=True)

    model_version: str
    rows: dict[date, int]
    """Connections scored by the model, live or as a shadow, by night."""
    batches_fitted_on: int
    """Of those nights' batches, how many the model was fitted on: no false-positive rate is of
    them."""
    settings: tuple[PreviewedSetting, ...]


@dataclass(frozen=True)
class _Chosen:
    """A setting, and the threshold that it has each night."""

    name: str
    is_in_force: bool
    tonight: ThresholdChoice
    by_night: Mapping[date, float]
    """Where it is not the same every night: a budget's follows from the nights before."""

    def threshold(self, night: date) -> float:
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
    title = f"Alerts a night by {found.model_version}: {of_nights}"
    show_rows(rows, columns, empty="", title=title)
    if found.batches_fitted_on:
        files = plural(found.batches_fitted_on, "file")
        say(f"no false-positive rate is of {files} that the model was fitted on")
    if not found.rows:
        say(f"let it score beside the champion: NOCTULE_SHADOW={found.model_version}")
    say(
        "choose with NOCTULE_OPERATING_POINT=default or low_alert; for low_alert, another rate with"
        " NOCTULE_LOW_ALERT_RATE, or most alerts a night with NOCTULE_ALERT_BUDGET"
    )


def preview_thresholds(settings: Settings, model_version: str | None, nights: int) -> Preview:
    """Count what each setting would have flagged."""
    with open_database(settings) as engine:
        version = model_version or champion(engine, settings.contract).version
        folder = load_verified(engine, settings.models, version)
        card = read_card(folder)
        dates = sorted({one.night for one in count_above(engine, version, [], nights=nights)})
        chosen = list_settings(settings, engine, version, folder, dates)
        thresholds = sorted({one.threshold(night) for one in chosen for night in dates})
        batches = count_above(engine, version, thresholds, nights=nights)
        taught = training_sources(engine, version)
    new = [one for one in batches if one.batch_id not in taught]
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
    """List what is previewed: both points, rates and budgets, those of the settings among them."""
    card = read_card(folder)
    is_low = settings.operating_point == "low_alert"
    rate = settings.low_alert_rate if is_low else None
    budget = settings.alert_budget if is_low else None
    own = rate is None and budget is None
    chosen = [
        _Chosen(name, own and settings.operating_point == name, choose_threshold(card, name), {})
        for name in ("default", "low_alert")
    ]
    if card.thresholds.normal is None:
        return chosen
    chosen += [
        _Chosen(
            f"low_alert at {one:.2%}",
            one == rate,
            choose_threshold(card, "low_alert", rate=one),
            {},
        )
        for one in sorted({*RATES, rate or RATES[0]})
    ]
    for one in sorted({*BUDGETS, budget or BUDGETS[0]}):
        with_budget = settings.model_copy(update={"alert_budget": one})

        def choose(before: date, to_keep: Settings = with_budget) -> ThresholdChoice:
            nights = look_back(to_keep, engine, version, folder, before)
            return choose_threshold(card, "low_alert", budget=to_keep.alert_budget, nights=nights)

        by_night = {night: choose(night).threshold for night in dates}
        name = f"low_alert, {plural(one, 'alert')} a night"
        chosen.append(_Chosen(name, one == budget, choose(date.max), by_night))
    return chosen


def preview_setting(
    chosen: _Chosen,
    batches: Sequence[ScoredBatch],
    labelled: Mapping[str, Sequence[LabelledCounts]],
    thresholds: Sequence[float],
) -> PreviewedSetting:
    """Add up one setting's alerts by night.

    Args:
        chosen: the setting.
        batches: what each has above each threshold.
        labelled: of the batches whose labels are in the lake, those above each threshold.
        thresholds: which those are.
    """
    alerts: dict[date, int] = {}
    judged = LabelledCounts()
    for one in batches:
        index = thresholds.index(chosen.threshold(one.night))
        alerts[one.night] = alerts.get(one.night, 0) + one.counts[index]
        if one.batch_id in labelled:
            judged += labelled[one.batch_id][index]
    return PreviewedSetting(
        setting=chosen.name,
        is_in_force=chosen.is_in_force,
        threshold=chosen.tonight.threshold,
        target_rate=chosen.tonight.target_flag_rate,
        usual_night=float(median(alerts.values())) if alerts else None,
        worst_night=max(alerts.values(), default=None),
        false_positive_rate=ratio(judged.flagged_normal, judged.normal),
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
    """Read what validation and scoring left in the lake; None where that is gone.

    A batch's folder may be removed whole. Of one that is there and damaged it is said that its
    labels are not counted.
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
