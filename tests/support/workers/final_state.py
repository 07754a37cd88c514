"""The final state: what must hold at the end of a schedule.

Belongs here: the rows an undisturbed worker stores, and the comparison with them. Does not belong
here: how a schedule runs (see ``schedule``), or what must hold at every moment
(``partial_results``).

The rows of each batch are compared with those of undisturbed runs: all columns of all tables
except those in ``EXCLUDED``. A batch has several right outcomes. Which one it has depends on the
order of the commits: on the model that scored it, and on the batch that accounts for shared rows.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from storage.check.files import check_lake, check_models
from storage.check.tables import check_tables
from tests.support.workers.batch_work import BatchWork, Observations
from tests.support.workers.example_batches import ARRIVED, MODELS, ExampleBatch
from tests.support.workers.partial_results import find_partial_batches
from tests.support.workers.shared_stores import SharedStore
from tests.support.workers.worker import Worker

Tables = Mapping[str, list[dict[str, Any]]]

TIMES: Final = frozenset({"started_at", "finished_at"})

EXCLUDED: Final[Mapping[str, frozenset[str]]] = {
    # Depend on which worker recorded it first; see _check_times.
    "delivery": frozenset({"delivery_id", "arrived_at"}),
    # Each claim takes the next token, so the token counts restarts; see _check_claims.
    "batch": TIMES | {"received_at", "claim_token"},
    "scoring": TIMES | {"scoring_id"},
    # Depend on which workers committed and published; see _check_times.
    "outbox": frozenset({"outbox_id", "created_at", "published_at"}),
}
"""Columns that differ between right outcomes: times, and surrogate keys, which follow the order of
arrival. A ``scoring_id`` in another table is replaced by the id of the scored batch."""

WHOLE: Final = frozenset({"run"})
"""Tables whose rows are counted and not compared: each start of a run has its own row."""

Outcome = tuple[str, str | None, str | None]
"""A batch, the model version that scored it, and the batch that accounts for its known rows."""


class UndisturbedRuns:
    """The rows that undisturbed workers store."""

    def __init__(self, store: SharedStore, examples: tuple[ExampleBatch, ...]) -> None:
        """Run undisturbed workers, one after another, and keep the rows that they store.

        Args:
            store: emptied before and after.
            examples: all example batches.
        """
        self._store = store
        self._examples = {each.batch_id: each for each in examples}
        self._expected: dict[Outcome, Mapping[str, list[str]]] = {}
        for version in MODELS:
            for first in examples:
                rest = [each for each in examples if each is not first]
                store.reset()
                observations = Observations()
                work_undisturbed(store, observations, version, (first, *rest))
                tables = store.read_all()
                found = by_batch(tables)
                for batch_id, (told,) in observations.commits.items():
                    self._expected[batch_id, told.version, told.known] = found[batch_id]
        store.reset()

    def find_faults(
        self, observations: Observations, examples: tuple[ExampleBatch, ...], *, is_thorough: bool
    ) -> list[str]:
        """Describe what is wrong after all workers have ended.

        Args:
            observations: what the schedule observed.
            examples: the batches of the schedule.
            is_thorough: whether to run all checks of ``storage``, which takes longer.
        """
        tables = self._store.read_all()
        found = by_batch(tables)
        faults = [*observations.faults, *find_partial_batches(self._store, self._examples)]
        faults += _check_claims(tables, observations)
        faults += _check_times(tables)
        faults += _check_events(tables, observations)
        faults += _check_runs(tables, observations)
        for row in tables["batch"]:
            faults += self._check_rows(row, observations, found)
        wanted = {example.batch_id for example in examples}
        stored = {row["batch_id"] for row in tables["batch"] if row["status"] != "received"}
        if wanted - stored:
            faults.append(f"never finished: {sorted(each[:8] for each in wanted - stored)}")
        faults += _check_growth(observations, examples)
        for name, rows in self._store.template.items():
            if tables[name] != rows:
                faults.append(f"the schedule has changed {name}")
        faults += self._check_stored(observations, is_thorough=is_thorough)
        return faults

    def _check_rows(
        self,
        row: Mapping[str, Any],
        observations: Observations,
        found: Mapping[str, Mapping[str, list[str]]],
    ) -> list[str]:
        """Compare one finished batch with an undisturbed run of it."""
        if row["status"] == "received":
            return []
        batch_id = row["batch_id"]
        if batch_id not in observations.commits:
            return [f"batch {batch_id[:8]} is stored, but no commit succeeded"]
        told = observations.commits[batch_id][-1]
        expected = self._expected.get((batch_id, told.version, told.known))
        if expected is None:
            return [f"batch {batch_id[:8]} has an outcome of no undisturbed run: {told}"]
        return [
            f"batch {batch_id[:8]} in {name}: expected {sorted(expected.get(name, []))},"
            f" found {sorted(found[batch_id].get(name, []))}"
            for name in sorted({*expected, *found[batch_id]})
            if sorted(expected.get(name, [])) != sorted(found[batch_id].get(name, []))
        ]

    def _check_stored(self, observations: Observations, *, is_thorough: bool) -> list[str]:
        """Ask what an operator may ask: ``noctule db check``."""
        store = self._store
        findings = [*check_lake(store.engine, store.lake)]
        if is_thorough:
            findings += [
                *check_tables(store.engine),
                *check_models(store.engine, store.models),
            ]
        return [
            f"{found.subject}: {found.problem}"
            for found in findings
            # Nobody holds a finished batch, and so nobody tidies after who was killed there.
            if found.severity == "error"
            or Path(found.subject).parent.name not in observations.killed_without_lock
        ]


def work_undisturbed(
    store: SharedStore, observations: Observations, model: str, examples: tuple[ExampleBatch, ...]
) -> None:
    """Run one worker to its end."""
    night = BatchWork(
        store=store,
        observations=observations,
        examples=examples,
        model=model,
        version=store.versions[model],
        started_at=ARRIVED,
        is_whole=True,
        is_hasty=True,
        is_repeated=False,
    )
    worker = Worker("undisturbed", night.work)
    while not worker.dead:
        worker.switch()
    if worker.error is not None:
        raise worker.error
    if observations.faults:
        raise AssertionError(observations.faults)


def by_batch(tables: Tables) -> Mapping[str, Mapping[str, list[str]]]:
    """Group the rows of all tables by batch, as JSON without the excluded columns."""
    scored = {row["scoring_id"]: row["batch_id"] for row in tables["scoring"]}
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, rows in tables.items():
        if name in WHOLE:
            continue
        excluded = EXCLUDED.get(name, frozenset())
        for row in rows:
            told = {column: value for column, value in row.items() if column not in excluded}
            if "scoring_id" in row:
                told["scoring_id"] = scored.get(row["scoring_id"], "none")
            batch_id = row.get("batch_id") or told.get("scoring_id")
            if name == "outbox":
                batch_id = _batch_of(row)
            if batch_id is not None:
                found[batch_id][name].append(json.dumps(told, sort_keys=True, default=repr))
    return found


def _batch_of(event: Mapping[str, Any]) -> str:
    """Return the id of the batch that an event is about."""
    return str(event["event_key"]).partition(":")[0]


def _check_growth(observations: Observations, examples: tuple[ExampleBatch, ...]) -> list[str]:
    """Check that one of two batches with shared rows accounts for those rows."""
    known = {batch_id: commits[-1].known for batch_id, commits in observations.commits.items()}
    return [
        f"{example.beginning.name} and {example.name} both have, or both lack, the rows of both"
        for example in examples
        if example.beginning in examples
        and (known.get(example.batch_id) == example.beginning.batch_id)
        == (known.get(example.beginning.batch_id) == example.batch_id)
    ]


def _check_claims(tables: Tables, observations: Observations) -> list[str]:
    """Check that only the newest claim committed, and that only older ones were refused."""
    newest = {row["batch_id"]: row["claim_token"] for row in tables["batch"]}
    faults = [
        f"batch {batch_id[:8]}: claim {told.token} committed, the newest is {newest[batch_id]}"
        for batch_id, commits in observations.commits.items()
        for told in commits
        if told.token != newest[batch_id]
    ]
    faults += [
        f"batch {batch_id[:8]}: claim {token} was refused, and is the newest"
        for batch_id, token in observations.lost
        if token >= newest[batch_id]
    ]
    return faults


def _check_times(tables: Tables) -> list[str]:
    """Check that all rows of one commit, and all rows of one delivery, have the same times."""
    times = {
        row["batch_id"]: (row["received_at"], row["started_at"], row["finished_at"])
        for row in tables["batch"]
    }
    found = [
        *((row["batch_id"], "delivery", row["arrived_at"], 0) for row in tables["delivery"]),
        *((row["batch_id"], "scoring", row["started_at"], 1) for row in tables["scoring"]),
        *((row["batch_id"], "scoring", row["finished_at"], 2) for row in tables["scoring"]),
        *((_batch_of(row), "event", row["created_at"], 2) for row in tables["outbox"]),
    ]
    return [
        f"batch {batch_id[:8]} and its {what} were written by different workers"
        for batch_id, what, moment, which in found
        if moment != times[batch_id][which]
    ]


def _check_events(tables: Tables, observations: Observations) -> list[str]:
    """Check that the stored events are exactly the received ones, without repeats."""
    stored = {row["event_key"]: row for row in tables["outbox"]}
    faults = [
        f"event {key} was never received" for key in stored.keys() - observations.received.keys()
    ]
    faults += [
        f"event {key} was never stored" for key in observations.received.keys() - stored.keys()
    ]
    faults += [
        f"event {key} is not marked as published"
        for key, row in stored.items()
        if row["published_at"] is None
    ]
    return faults


def _check_runs(tables: Tables, observations: Observations) -> list[str]:
    """Check that every opened run has a row, and that each has ended."""
    faults = []
    if len(tables["run"]) != observations.runs:
        faults.append(f"{observations.runs} runs were opened, {len(tables['run'])} are stored")
    faults += [
        f"run {row['run_id']} is still marked as running"
        for row in tables["run"]
        if row["state"] == "running"
    ]
    return faults
