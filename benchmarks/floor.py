"""The floor of a night: read, encode, score with the same models and insert, in one process.

It has no validation, quarantine, line numbers, reasons, drift, server or resuming. A night is
compared with it.
"""

import sqlite3
import sys
import time
from itertools import chain
from pathlib import Path

import polars as pl

from expectations.registry import get_contract
from tasks.detectors.model import load_model

NSL_KDD = get_contract("nsl_kdd")

SLICE_ROWS = 10_000
"""Rows handed to SQLite at a time."""
STATEMENT_ROWS = 50
"""Rows of one INSERT: the fastest number, here as in a night."""


def score_floor(source: Path, model_folder: Path, database: Path) -> None:
    """Score a clean file into a fresh SQLite table, and print the CPU seconds of each part."""
    parts: dict[str, float] = {}
    clock = time.process_time()
    frame = pl.read_csv(source, schema_overrides=dict(NSL_KDD.schema))
    parts["read"], clock = time.process_time() - clock, time.process_time()
    model = load_model(model_folder, threads=1)
    scores = model.score(frame)
    flagged = scores["anomaly_score"] > model.card.thresholds.default
    parts["encode and score"], clock = time.process_time() - clock, time.process_time()
    table = scores.select("classifier_score", "one_class_score", "anomaly_score").with_columns(
        flagged.alias("is_flagged")
    )
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "CREATE TABLE prediction (row_number INTEGER PRIMARY KEY, classifier_score REAL, "
        "one_class_score REAL, anomaly_score REAL, is_flagged INTEGER)"
    )
    for offset in range(0, table.height, SLICE_ROWS):
        rows = table.slice(offset, SLICE_ROWS).with_row_index("row_number", offset + 1).rows()
        whole = len(rows) - len(rows) % STATEMENT_ROWS
        for many, group in ((STATEMENT_ROWS, rows[:whole]), (1, rows[whole:])):
            places = ", ".join(["(?, ?, ?, ?, ?)"] * many)
            connection.executemany(
                f"INSERT INTO prediction VALUES {places}",  # noqa: S608 - every value is bound
                [
                    tuple(chain.from_iterable(group[first : first + many]))
                    for first in range(0, len(group), many)
                ],
            )
    connection.commit()
    connection.close()
    parts["insert"] = time.process_time() - clock
    for name, cpu_s in parts.items():
        print(f"{name}\t{cpu_s:.3f}")


if __name__ == "__main__":
    score_floor(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
