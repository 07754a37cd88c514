"""The end of a retraining: challengers are evaluated and registered, and the best is promoted.

Belongs here: joining the gate with the model store. Does not belong here: what makes a challenger
better (``gate``), or fitting one (``challengers``).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
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
"""Name that the history of champions shows."""


class Challenger(BaseModel, frozen=True):
    """A recipe of a retraining, with its fit and the result of the gate."""

    recipe: str
    fitted: FittedChallenger | None = None
    """None where the fit failed."""
    failure: OutsideText | None = None
    """Why it failed."""
    gate: GateResult | None = None
    """None where it failed, and before it is evaluated."""


class EvaluatedChallengers(BaseModel, frozen=True):
    """All recipes of a retraining, evaluated."""

    challengers: tuple[Challenger, ...]
    rows_tested: int
    """Labelled connections they were compared on."""
    rows_seen: int
    """Further labelled connections, left out because a model was fitted on a copy of them."""
    notes: tuple[str, ...] = ()
    """What a reader should know about them, one sentence each."""


class ChallengerDecision(BaseModel, frozen=True):
    """The decision on one challenger."""

    recipe: str
    model_version: str | None
    """None where the fit failed."""
    decision: Literal["promoted", "refused", "failed"]
    reason: OutsideText
    verdict: GateResult | None


class RetrainOutcome(BaseModel, frozen=True):
    """The result of a retraining."""

    champion_before: str
    champion_now: str
    decisions: tuple[ChallengerDecision, ...]
    rows_fit: int
    rows_judged: int
    rows_seen: int
    judged_nights: tuple[date, ...]
    notes: tuple[OutsideText, ...]
    """What could not be used, one sentence each."""

    @property
    def exit_code(self) -> int:
        """Always 0: a decision is no failure."""
        return 0

    @property
    def message(self) -> str:
        """The result in one line."""
        if self.champion_now != self.champion_before:
            return f"{self.champion_now} is champion instead of {self.champion_before}"
        failed = sum(one.decision == "failed" for one in self.decisions)
        more = f", {plural(failed, 'fit')} failed" if failed else ""
        return f"{self.champion_before} stays champion: no challenger was certainly better{more}"


class RetrainedContracts(BaseModel, frozen=True):
    """The results of retraining several contracts."""

    outcomes: dict[str, RetrainOutcome]
    failures: dict[str, OutsideText]
    """Contract -> why its retraining failed: its champion is unchanged."""
    exit_code: int
    """0 if none failed."""

    @property
    def message(self) -> str:
        """The results in one line."""
        said = [f"{name}: {one.message}" for name, one in self.outcomes.items()]
        failed = [f"{name} failed: {why}" for name, why in self.failures.items()]
        return "; ".join([*said, *failed])


def evaluate_challengers(
    challengers: Sequence[Challenger],
    baseline: str | None,
    champion_folder: Path,
    found: RetrainingRows,
    contract_name: str,
    point: ServedPoint,
    options: GateOptions,
) -> EvaluatedChallengers:
    """Compare every fitted challenger with the champion on the same rows, and apply the gate.

    A challenger that cannot be compared has failed; the others are still compared.
    ``baseline`` is the champion's recipe among them, None if it is not known. The flags of
    ``point`` are compared. The number of challengers in the gate's options is counted here.
    """
    fitted = {one.recipe: one.fitted for one in challengers if one.fitted is not None}
    test_rows = read_test_rows(
        found.test_parts,
        get_contract(contract_name),
        [champion_folder, *(one.folder for one in fitted.values())],
    )
    own = fitted.get(baseline) if baseline is not None else None
    before = score_test_rows(champion_folder, test_rows, point)
    options = options.model_copy(update={"challengers": max(1, len(fitted))})

    def evaluate(one: Challenger) -> Challenger:
        if one.fitted is None:
            return one
        try:
            gate = evaluate_challenger(
                one.fitted, own, (champion_folder, before), test_rows, point, options
            )
        except Exception as error:  # noqa: BLE001 - any error of the library that scores it
            why = "" if isinstance(error, NoctuleError) else f"{type(error).__name__}: "
            failure = f"Cannot compare {one.recipe} with the champion: {why}{error}"
            return Challenger(recipe=one.recipe, failure=failure)
        return one.model_copy(update={"gate": gate})

    return EvaluatedChallengers(
        challengers=tuple(evaluate(one) for one in challengers),
        rows_tested=test_rows.features.height,
        rows_seen=test_rows.rows_seen,
        notes=tuple(
            f"{name} does not say which rows it was fitted on: test rows may be copies of them"
            for name in test_rows.without_keys
        ),
    )


def decide(
    engine: Engine,
    models: Path,
    champion: ModelVersion,
    evaluated: EvaluatedChallengers,
    found: RetrainingRows,
    options: Mapping[str, TrainingOptions],
    now: datetime,
) -> RetrainOutcome:
    """Register the challengers, store a decision on each, and promote the best if one is better.

    ``champion`` is the version they were compared with. They were fitted on the rows ``found``,
    each by the ``options`` of its recipe.

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
            training=describe_training(
                options[one.recipe], get_contract(champion.contract), found.sources
            ),
            metrics=one.fitted.fit.metrics.model_dump(mode="json"),
            registered_at=now,
            registered_by=WHO,
        ).version
        for one in evaluated.challengers
    ]
    rolled_back = list_rolled_back(engine, champion.contract)
    better = [
        one
        for one, version in zip(evaluated.challengers, versions, strict=True)
        if one.gate and one.gate.is_better and version not in rolled_back
    ]
    best = max(better, key=lambda one: one.gate.surest_gain if one.gate else -1.0, default=None)
    decisions = [
        _decide_one(one, version, champion.version, best, rolled_back)
        for one, version in zip(evaluated.challengers, versions, strict=True)
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
                verdict=challenger.gate,
            )
            for one, challenger in zip(stored, evaluated.challengers, strict=True)
        ),
        rows_fit=found.rows_fit,
        rows_judged=evaluated.rows_tested,
        rows_seen=evaluated.rows_seen,
        judged_nights=found.test_nights,
        notes=(*found.notes, *evaluated.notes),
    )


def _decide_one(
    one: Challenger,
    version: str | None,
    champion: str,
    best: Challenger | None,
    rolled_back: Mapping[str, str],
) -> Decision:
    """Decide on one challenger, with the reason."""
    evidence = {} if one.gate is None else one.gate.model_dump(mode="json")
    decision: Literal["promoted", "refused", "failed"] = "refused"
    if one.gate is None or version is None:
        decision, reason = "failed", one.failure or "the fit failed"
    elif version == champion:
        reason = "the same rows and recipe give the champion again"
    elif version in rolled_back and one.gate.is_better:
        reason = (
            f"it would pass, and was rolled back: {rolled_back[version]!r}."
            " A person may promote it."
        )
    elif one is best:
        decision, reason = "promoted", one.gate.reason
    elif one.gate.is_better and best is not None:
        reason = f"it would pass, but the gain of {best.recipe} is more certain"
    else:
        reason = one.gate.reason
    return Decision(
        recipe=one.recipe, challenger=version, decision=decision, reason=reason, evidence=evidence
    )


evaluate_challengers_task = task(evaluate_challengers, name="weigh challengers")
# Idempotent up to its last transaction; a second try finds the versions registered.
decide_task = task(decide, name="decide")
