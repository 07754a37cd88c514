"""``noctule evaluate``: a labelled file is scored, and the scores are compared with its labels.

Belongs here: which file and which model, and the notes beside the figures. Does not belong
here: the figures (``tasks.evaluation.evaluate``). Nothing is stored, and no flow runs.
"""

import tempfile
from pathlib import Path

from flows.cli.labelled_file import accept_labelled, plan_labelled, require_contract_of
from flows.cli.progress import shown_progress
from flows.places import open_database
from flows.plan import plan_scoring
from flows.settings import Settings
from storage.model_store import champion, load_verified
from storage.queries import training_sources
from tasks.detectors.model_card import read_card, require_contract
from tasks.evaluation.evaluate import Evaluation, evaluate_batch
from tasks.intake.label_words import LabelReading
from tasks.scoring.stage import score


def run_evaluation(
    settings: Settings, file: Path, model_version: str | None, asked: LabelReading
) -> Evaluation:
    """Score a labelled file, and compare the scores with its labels. Nothing is stored.

    The champion of the file's contract scores if ``model_version`` is None.

    Raises:
        InputRejectedError: the file is refused, or has no labels.
        ModelRefusedError: the model is unknown, altered, or of another contract.
        UsageError: the file has no such label column.
    """
    contract = require_contract_of(settings, file)
    settings = settings.model_copy(update={"contract": contract.name})
    with open_database(settings) as engine:
        version = model_version or champion(engine, contract.name).version
        model_folder = load_verified(engine, settings.models, version)
        trained_on = training_sources(engine, version)
    require_contract(model_folder, contract)
    with (
        shown_progress(f"reading {file.name}"),
        tempfile.TemporaryDirectory(prefix="noctule-evaluate-") as folder,
    ):
        file_job = plan_labelled(settings, file, Path(folder), asked, "evaluate")
        accepted = accept_labelled(file_job, "evaluate")
        job = plan_scoring(settings, accepted.job, version, model_folder)
        validated = accepted.validated
        scored = score(job, validated)
        card = read_card(model_folder)
        if settings.low_alert_rate is not None:
            thresholds = card.thresholds.with_low_alert_rate(settings.low_alert_rate)
            card = card.model_copy(update={"thresholds": thresholds})
        evaluation = evaluate_batch(
            job.folder, validated.parts, scored.parts, model_folder, job.declared, card
        )
        notes = [*accepted.notes]
        if job.batch_id in trained_on:
            notes.insert(0, f"{version} was trained on these rows: its figures are too good")
        if deviation := scored.describe_rate_deviation(usual=None, budget=None):
            notes.append(deviation)
        advisories = (*notes, *scored.notes)
        return evaluation.model_copy(
            update={"rows_quarantined": accepted.rows_quarantined, "advisories": advisories}
        )
