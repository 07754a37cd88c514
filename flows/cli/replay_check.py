"""``noctule replay-check``: a stored batch is scored again with the model that scored it.

Belongs here: which rows and which model, and how the result is printed. Does not belong here: the
comparison (``tasks.scoring.rescore``). Nothing is stored, and no flow runs.
"""

from pathlib import Path

from sqlalchemy import Engine

from expectations.errors import UsageError
from flows.cli.printing import print_json, say
from flows.cli.progress import shown_progress
from flows.cli.tables import show_rows
from flows.contracts import describe_change
from flows.places import open_database
from flows.settings import Settings
from storage.batches import find_batch
from storage.lake import batch_folder, read_accepted
from storage.model_store import load_verified
from storage.queries import resolve_batch
from storage.scorings import StoredScoring, find_scoring, read_predictions
from tasks.scoring.rescore import Rescored, rescore_batch
from tasks.validation.summary import ValidationSummary
from tasks.wording import ID_DIGITS, clause, plural

COLUMNS = ("row_number", "column", "stored", "again")


def show_replay_check(settings: Settings, batch: str, *, as_json: bool) -> bool:
    """Score a batch again, print the differences, and return whether every score is the same.

    Raises:
        UsageError: there is no such batch, it has no scores, or its rows are not in the lake.
        ModelRefusedError: the model's files are not those that were registered.
    """
    with open_database(settings) as engine, shown_progress("scoring again"):
        batch_id = resolve_batch(engine, batch)
        stored = find_scoring(engine, batch_id)
        if stored is None:
            message = (
                f"Cannot check batch {batch_id[:ID_DIGITS]}: it has no scores. `noctule batches`"
                " shows its status."
            )
            raise UsageError(message)
        folder = batch_folder(settings.lake, stored.contract, batch_id)
        model_folder = load_verified(engine, settings.models, stored.model_version)
        rescored = rescore(settings, engine, folder, model_folder, stored)
        change = describe_change(find_batch(engine, batch_id))
    if as_json:
        facts = {
            "batch_id": batch_id,
            "model_version": stored.model_version,
            "contract_change": change,
        }
        print_json({**facts, "is_exact": rescored.is_exact, **rescored.model_dump(mode="json")})
        return rescored.is_exact
    show_rows([one.model_dump() for one in rescored.differences], COLUMNS)
    what = f"batch {batch_id[:ID_DIGITS]}, {plural(rescored.rows, 'row')}"
    say(f"{what} by {stored.model_version}: {describe_differences(rescored)}")
    if change is not None:
        say(f"{change}: these are its rows as they were read then")
    return rescored.is_exact


def describe_differences(rescored: Rescored) -> str:
    """Return how the new scores differ from the stored ones, in words."""
    if rescored.is_exact:
        return "every score and flag equals the stored one, bit for bit"
    not_stored, not_accepted = rescored.rows_not_stored, rescored.rows_not_accepted
    differing = rescored.rows_differing - not_stored - not_accepted
    largest = rescored.largest_difference  # 0 where only flags differ
    differ = clause(differing, "row", "differs", "differ")
    found = {
        f"{differ}, by up to {largest:.3g}" if largest else differ: differing,
        f"{clause(not_stored, 'row', 'is', 'are')} not stored": not_stored,
        f"{clause(not_accepted, 'stored row', 'is', 'are')} missing from the lake": not_accepted,
    }
    return "; ".join(words for words, rows in found.items() if rows)


def rescore(
    settings: Settings, engine: Engine, folder: Path, model_folder: Path, stored: StoredScoring
) -> Rescored:
    """Score the rows that validation accepted, with the model that scored them before."""
    accepted = read_accepted(folder, ValidationSummary)
    return rescore_batch(
        folder,
        accepted.parts,
        model_folder,
        stored.operating_point,
        stored.threshold,
        stored.rows_stored,
        lambda first, last: read_predictions(engine, stored, first, last),
        settings.threads,
    )
