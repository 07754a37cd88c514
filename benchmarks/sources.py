"""Tries every file of a folder as a newcomer would: ``python -m benchmarks.sources FOLDER``.

Each file is trained on and then scored, without being told its contract. The table has a line for
each file: its rows, the rows that were scored and quarantined (with the reasons), the ROC AUC on
held-out rows beside that of the best single feature, the rows that repeat another, and the time. A
file that is refused has the reason.

Belongs here: those runs and the table, as Markdown. Does not belong here: bounds on time or memory
(``benchmarks.__main__``).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import NOCTULE
from storage.database import connect
from storage.queries import quarantine_rows

COLUMNS: Final = (
    "file", "contract", "rows", "scored", "quarantined", "reasons", "AUC held out",
    "best single feature", "duplicates", "train s", "run s",
)  # fmt: skip
REASONS: Final = 3
"""Reasons that a line of the table shows, the most frequent first."""
NOT_DATA: Final = frozenset({"", ".md", ".html", ".pdf", ".sh"})
"""Endings of files that describe data."""


def main() -> None:
    """Print the table for the folders and files named on the command line."""
    files = [file for name in sys.argv[1:] for file in find_files(Path(name))]
    if not files:
        sys.exit("Usage: python -m benchmarks.sources FOLDER... with files of connections in them")
    print(write_line(COLUMNS))
    print(write_line(["---"] * len(COLUMNS)))
    # One home: a file with one class only is trained on with the earlier files of its contract.
    with tempfile.TemporaryDirectory(prefix="noctule-sources-") as home:
        for file in files:
            print(write_line(try_file(file, Path(home))), flush=True)


def find_files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of connections in a folder and below it, by name."""
    if path.is_dir():
        found = (one for one in sorted(path.rglob("*")) if one.is_file())
        yield from (one for one in found if one.suffix not in NOT_DATA)
    elif path.exists():
        yield path


def try_file(file: Path, home: Path) -> list[str]:
    """Train on a file, score it, and return its line of the table."""
    trained, train_s, refusal = run_noctule(home, "train", file)
    if trained is None:
        return [file.name, "", "", "", "", refusal, "", "", "", f"{train_s:.0f}", ""]
    scored, run_s, refusal = run_noctule(home, "run", file)
    if scored is None:
        return [file.name, "", "", "", "", refusal, "", "", "", f"{train_s:.0f}", f"{run_s:.0f}"]
    (batch,) = scored["files"]
    metrics = trained["fit"]["metrics"]
    known = metrics["known"]
    best = known and known["best_feature"]
    return [
        file.name,
        trained["model_version"].rpartition("-")[0],
        f"{batch['rows_read']:,}",
        f"{batch['rows_scored']:,}",
        f"{batch['rows_quarantined']:,}",
        "; ".join(count_reasons(home, batch["batch_id"])),
        f"{known['roc_auc']:.4f}" if known else "no labels",
        f"{best['roc_auc']:.4f} {best['name']}" if best else "",
        f"{metrics['rows_duplicated']:,}",
        f"{train_s:.0f}",
        f"{run_s:.0f}",
    ]


def run_noctule(home: Path, command: str, file: Path) -> tuple[Any, float, str]:
    """Run a command on a file.

    Returns:
        What it printed as JSON, or None if it failed; the seconds; the last line of its errors.
    """
    environment: Mapping[str, str] = {**os.environ, "NOCTULE_HOME": str(home)}
    started = time.perf_counter()
    ended = subprocess.run(
        [NOCTULE, command, str(file), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if ended.returncode:
        *_, last = ended.stderr.strip().splitlines() or [""]
        return None, seconds, f"exit {ended.returncode}: {last}"
    return json.loads(ended.stdout), seconds, ""


def count_reasons(home: Path, batch_id: str) -> list[str]:
    """Return the most frequent reasons of a batch's quarantined rows, each with its rows."""
    engine = connect(None, home)
    try:
        rows = quarantine_rows(engine, batch=batch_id)
    finally:
        engine.dispose()
    counts: dict[str, int] = {}
    for row in rows:
        reason = row["reasons"][0]
        counts[reason] = counts.get(reason, 0) + 1
    frequent = sorted(counts, key=lambda reason: -counts[reason])
    shown = [f"{counts[reason]:,} {reason}" for reason in frequent[:REASONS]]
    return [*shown, "..."] if len(frequent) > REASONS else shown


def write_line(cells: "list[str] | tuple[str, ...]") -> str:
    """Return a line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
