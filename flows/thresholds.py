"""``noctule thresholds``: what each setting would have flagged on the nights that are stored.

Belongs here: which settings are shown, and how. Does not belong here: counting (``storage.nights``)
or how a setting becomes a threshold (``tasks.operating``).
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from expectations.registry import get_contract
from flows.printing import print_json, say
from flows.settings import Settings
from flows.stores import open_database
from flows.tables import show_rows
from storage.lake import batch_folder, read_summary
from storage.model_store import champion, load_verified
from storage.nights import ScoredBatch, count_above
from tasks.detectors.hybrid import ModelCard, read_card
from tasks.labels import LabelledCounts, count_labelled_above
from tasks.ratios import ratio
from tasks.score import ScoreSummary
from tasks.shown import plural
from tasks.validate import ValidationSummary

RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
"""False-positive rates that are previewed beside the settings: from one alert in 2,000 normal
connections to one in 50. A guess at what anyone would want."""


class PreviewedSetting(BaseModel):
    """A threshold, and what it would have flagged."""

    model_config = ConfigDict(frozen=True)

    setting: str
    threshold: float
    target_rate: float | None
    """Share of held-out normals that it flags."""
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
    """Connections scored by the model, by night."""
    settings: tuple[PreviewedSetting, ...]


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
    columns = ["setting", "threshold", "target_rate", "usual_night", "worst_night"]
    if any(row["false_positive_rate"] is not None for row in rows):
        columns.append("false_positive_rate")
    of_nights = (
        f"{plural(len(found.rows), 'night')} of {plural(sum(found.rows.values()), 'connection')}"
        if found.rows
        else "no stored night"
    )
    title = f"Alerts a night by {found.model_version}: {of_nights}"
    show_rows(rows, columns, empty="", title=title)
    say(
        "choose with NOCTULE_OPERATING_POINT=default or low_alert; for low_alert, another rate with"
        " NOCTULE_LOW_ALERT_RATE, or alerts a night with NOCTULE_ALERT_BUDGET"
    )


def preview_thresholds(settings: Settings, model_version: str | None, nights: int) -> Preview:
    """Count what each setting would have flagged."""
    with open_database(settings) as engine:
        version = model_version or champion(engine, settings.contract).version
        folder = load_verified(engine, settings.models, version)
        card = read_card(folder)
        chosen = list_settings(card)
        batches = count_above(
            engine, version, [threshold for _, threshold, _ in chosen], nights=nights
        )
    labelled = count_labels(settings, card, version, batches, [one for _, one, _ in chosen])
    dates = sorted({one.night for one in batches})
    return Preview(
        model_version=version,
        rows={night: sum(one.rows for one in batches if one.night == night) for night in dates},
        settings=tuple(
            preview_setting(name, threshold, rate, batches, index, labelled[index])
            for index, (name, threshold, rate) in enumerate(chosen)
        ),
    )


def list_settings(card: ModelCard) -> list[tuple[str, float, float | None]]:
    """List the settings that are previewed: name, threshold and target rate."""
    named = [
        (name, card.threshold(name), card.target_flag_rate(name))
        for name in ("default", "low_alert")
    ]
    if card.thresholds.normal is None:
        return named
    rates = [(f"low_alert at {rate:.2%}", card.thresholds.at_rate(rate), rate) for rate in RATES]
    return named + rates


def preview_setting(
    name: str,
    threshold: float,
    rate: float | None,
    batches: Sequence[ScoredBatch],
    index: int,
    labelled: LabelledCounts,
) -> PreviewedSetting:
    """Add up one setting's alerts by night."""
    alerts: dict[date, int] = {}
    for one in batches:
        alerts[one.night] = alerts.get(one.night, 0) + one.counts[index]
    return PreviewedSetting(
        setting=name,
        threshold=threshold,
        target_rate=rate,
        usual_night=float(median(alerts.values())) if alerts else None,
        worst_night=max(alerts.values(), default=None),
        false_positive_rate=ratio(labelled.flagged_normal, labelled.normal),
        alerts=dict(sorted(alerts.items())),
    )


def count_labels(
    settings: Settings,
    card: ModelCard,
    version: str,
    batches: Sequence[ScoredBatch],
    thresholds: Sequence[float],
) -> list[LabelledCounts]:
    """Count the labelled rows above each threshold, of the batches whose files are in the lake."""
    contract = get_contract(card.contract)
    totals = [LabelledCounts() for _ in thresholds]
    for one in batches:
        folder = batch_folder(settings.lake, contract.name, one.batch_id)
        done = find_stages(folder, version)
        if done is None:
            continue
        for part, scores in zip(done[0].parts, done[1].parts, strict=True):
            counts = count_labelled_above(folder / part.path, folder / scores, contract, thresholds)
            totals = [total + more for total, more in zip(totals, counts, strict=True)]
    return totals


def find_stages(folder: Path, version: str) -> tuple[ValidationSummary, ScoreSummary] | None:
    """Read what validation and scoring left in the lake; None where they are gone."""
    from expectations.errors import UsageError

    try:
        return (
            read_summary(folder / "validate", ValidationSummary),
            read_summary(folder / f"score-{version}", ScoreSummary),
        )
    except UsageError:
        return None
