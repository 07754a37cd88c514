"""The end of a retraining: every challenger is weighed, registered and decided upon.

Belongs here: joining the gate with the model store. Does not belong here: what makes a challenger
better (``tasks.retraining.gate``), or fitting one (``tasks.retraining.challengers``).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from expectations.errors import NoctuleError
from expectations.registry import get_contract
from storage.decisions import Decision, store_decisions
from storage.model_store import ModelVersion, register_model
from storage.promotions import list_rolled_back
from tasks.retraining.challengers import (
    FittedChallenger,
    ServedPoint,
    evaluate_challenger,
    read_test_rows,
    score_test_rows,
)
from tasks.retraining.gate import GateOptions, GateResult
from tasks.retraining.labelled_batches import RetrainingRows
from tasks.task import task
from tasks.training.options import TrainingOptions
from tasks.training.register import describe_training
from tasks.wording import OutsideText, plural

WHO = "noctule retrain"
"""Whose name the history shows."""


class Challenger(BaseModel):
    """A recipe of a retraining, and what came of it so far."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    fitted: FittedChallenger | None = None
    """None where the fit failed."""
    failure: OutsideText | None = None
    """Why it did."""
    verdict: GateResult | None = None
    """None where it failed, and before it is weighed."""


class EvaluatedChallengers(BaseModel):
    """All recipes of a retraining, weighed."""

    model_config = ConfigDict(frozen=True)

    challenged: tuple[Challenger, ...]
    rows_judged: int
    """Labelled connections that judged them."""
    rows_seen: int
    """More of those, left out because a model was fitted on their like."""
    notes: tuple[str, ...] = ()
    """What a reader should know of them; a sentence each."""


class ChallengerDecision(BaseModel):
    """What became of one challenger."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    model_version: str | None
    """None where the fit failed."""
    decision: Literal["promoted", "refused", "failed"]
    reason: OutsideText
    verdict: GateResult | None


class RetrainOutcome(BaseModel):
    """What a retraining came to."""

    model_config = ConfigDict(frozen=True)

    champion_before: str
    champion_now: str
    decisions: tuple[ChallengerDecision, ...]
    rows_fit: int
    rows_judged: int
    rows_seen: int
    judged_nights: tuple[date, ...]
    notes: tuple[OutsideText, ...]
    """What could not be used, a sentence each."""

    @property
    def message(self) -> str:
        """What came of it, in one line."""
        if self.champion_now != self.champion_before:
            return f"{self.champion_now} is champion instead of {self.champion_before}"
        failed = sum(one.decision == "failed" for one in self.decisions)
        more = f", {plural(failed, 'fit')} failed" if failed else ""
        return f"{self.champion_before} stays champion: no challenger was surely better{more}"


def evaluate_challengers(
    challenged: Sequence[Challenger],
    baseline: str | None,
    champion_folder: Path,
    gathered: RetrainingRows,
    contract_name: str,
    point: ServedPoint,
    options: GateOptions,
) -> EvaluatedChallengers:
    """Weigh every fitted challenger against the champion on the same rows.

    One that cannot be weighed has failed; the others are weighed all the same.

    Args:
        challenged: the recipes, fitted or failed.
        baseline: which of them is the champion's; None if that is not known.
        champion_folder: the champion itself.
        gathered: has the rows to evaluate by.
        contract_name: of these.
        point: whose flags are compared.
        options: of the gate; how many are weighed is counted here.
    """
    fitted = {one.recipe: one.fitted for one in challenged if one.fitted is not None}
    judged = read_test_rows(
        gathered.judged,
        get_contract(contract_name),
        [champion_folder, *(one.folder for one in fitted.values())],
    )
    own = fitted.get(baseline) if baseline is not None else None
    before = score_test_rows(champion_folder, judged, point)
    options = options.model_copy(update={"challengers": max(1, len(fitted))})

    def weigh(one: Challenger) -> Challenger:
        if one.fitted is None:
            return one
        try:
            verdict = evaluate_challenger(
                one.fitted, own, (champion_folder, before), judged, point, options
            )
        except Exception as error:  # noqa: BLE001 - of whatever library scores it
            why = (
                str(error)
                if isinstance(error, NoctuleError)
                else f"{type(error).__name__}: {error}"
            )
            return one.model_copy(
                update={"fitted": None, "failure": f"Cannot weigh {one.recipe}: {why}"}
            )
        return one.model_copy(update={"verdict": verdict})

    return EvaluatedChallengers(
        challenged=tuple(weigh(one) for one in challenged),
        rows_judged=judged.features.height,
        rows_seen=judged.rows_seen,
        notes=tuple(
            f"of {name} it is not known which rows it was fitted on: copies of them may evaluate it"
            for name in judged.without_keys
        ),
    )


def decide(
    engine: Engine,
    models: Path,
    champion: ModelVersion,
    weighed: EvaluatedChallengers,
    gathered: RetrainingRows,
    options: Mapping[str, TrainingOptions],
    now: datetime,
) -> RetrainOutcome:
    """Register the challengers, store what became of each, and promote the best, if one is better.

    Args:
        engine: the database.
        models: the model store's folder.
        champion: the version they were compared with.
        weighed: the challengers.
        gathered: what they were fitted on.
        options: how, by recipe.
        now: the time.

    Raises:
        ServiceUnavailableError: the disk is full, or the database cannot be reached.
    """
    versions = [
        None
        if one.fitted is None
        else register_model(
            engine,
            models,
            one.fitted.folder,
            contract=champion.contract,
            content_hash=one.fitted.fit.content_hash,
            rows_trained=one.fitted.fit.rows,
            training=describe_training(options[one.recipe], gathered.sources),
            metrics=one.fitted.fit.metrics.model_dump(mode="json"),
            registered_at=now,
            registered_by=WHO,
        ).version
        for one in weighed.challenged
    ]
    undone = list_rolled_back(engine, champion.contract)
    better = [
        one
        for one, version in zip(weighed.challenged, versions, strict=True)
        if one.verdict and one.verdict.is_better and version not in undone
    ]
    best = max(better, key=_surest_gain, default=None)
    decisions = [
        _decide_one(one, version, champion.version, best, undone)
        for one, version in zip(weighed.challenged, versions, strict=True)
    ]
    stored = store_decisions(
        engine, models, champion.contract, champion.version, decisions, who=WHO, now=now
    )
    promoted = [one.challenger for one in stored if one.decision == "promoted"]
    return RetrainOutcome(
        champion_before=champion.version,
        champion_now=next((one for one in promoted if one), champion.version),
        decisions=tuple(
            ChallengerDecision(
                recipe=one.recipe,
                model_version=one.challenger,
                decision=one.decision,
                reason=one.reason,
                verdict=weighed_one.verdict,
            )
            for one, weighed_one in zip(stored, weighed.challenged, strict=True)
        ),
        rows_fit=gathered.rows_fit,
        rows_judged=weighed.rows_judged,
        rows_seen=weighed.rows_seen,
        judged_nights=gathered.judged_nights,
        notes=(*gathered.notes, *weighed.notes),
    )


def _surest_gain(one: Challenger) -> float:
    return -1.0 if one.verdict is None else one.verdict.surest_gain


def _decide_one(
    one: Challenger,
    version: str | None,
    champion: str,
    best: Challenger | None,
    undone: Mapping[str, str],
) -> Decision:
    """Say what becomes of a challenger."""
    evidence = {} if one.verdict is None else one.verdict.model_dump(mode="json")
    decision: Literal["promoted", "refused", "failed"] = "refused"
    if one.verdict is None or version is None:
        decision, reason = "failed", one.failure or "the fit failed"
    elif version == champion:
        reason = "the same rows and recipe give the champion again"
    elif version in undone and one.verdict.is_better:
        reason = (
            f"it would pass, and was rolled back: {undone[version]!r}. A person may promote it."
        )
    elif one is best:
        decision, reason = "promoted", one.verdict.reason
    elif one.verdict.is_better and best is not None:
        reason = f"it would pass, and the gain of {best.recipe} is surer"
    else:
        reason = one.verdict.reason
    return Decision(
        recipe=one.recipe, challenger=version, decision=decision, reason=reason, evidence=evidence
    )


evaluate_challengers_task = task(evaluate_challengers, name="weigh challengers")
# Idempotent up to its last transaction, which is one step; a second try finds the versions there.
decide_task = task(decide, name="decide")
