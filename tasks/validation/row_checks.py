"""The rows suite on one chunk after another: which rows fail, why, and the sum over the batch.

Belongs here: from a chunk to its failing rows with their reasons, and the tally of every check.
Does not belong here: files, and what becomes of the rows (``tasks.validation.validate``).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from expectations.contract import Contract
from expectations.suites import row_expectations
from tasks.intake.reasons import OBSERVED, REASON, describe_failures, rules_by_name
from tasks.validation.suite_runner import SuiteRunner

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

EXAMPLES = 3
"""Distinct failing values shown of a check. A guess: enough to see what is wrong."""

LOOKED_AT = 1_000
"""Failing rows of a chunk that are looked at for examples. A guess."""

DESCRIBED_ROWS = 20_000
"""Refused rows that are described at a time: a row may have dozens of reasons, so that those of a
chunk whose every row is refused would take many times the chunk's memory. A guess."""

_POSITION = "position"


@dataclass
class Tally:
    """What came of one check over all chunks so far.

    An advisory check counts only rows that are scored: of a row that is refused, its refusal is
    reported.
    """

    rows_failed: int = 0
    examples: list[str] = field(default_factory=list)
    """The first few distinct values that failed, in words."""

    def add(self, rows_failed: int, observed: Iterable[str]) -> None:
        """Add one chunk's failing rows, and some of the values that failed."""
        self.rows_failed += rows_failed
        new = [value for value in dict.fromkeys(observed) if value not in self.examples]
        self.examples += new[: EXAMPLES - len(self.examples)]


@dataclass(frozen=True)
class Verdict:
    """Which rows of a chunk may be scored."""

    is_refused: "NDArray[np.bool_]"
    """For each row of the chunk, whether it failed a required check."""
    describe: Callable[[], Iterator[pl.DataFrame]]
    """Gives the refused rows, some thousands at a time; grain: one refused row, in the order of the
    chunk: row_number, line_number, and reasons (List of String) in the order of the checks."""


class RowChecker:
    """Asks the rows suite of a contract of every chunk of a batch."""

    def __init__(self, contract: Contract, columns: Sequence[str]) -> None:
        """Build the suite; imports Great Expectations.

        Args:
            contract: the source's declaration.
            columns: the declared columns the batch has.
        """
        self._contract = contract
        self._columns = tuple(columns)
        self.checks = row_expectations(contract, columns)
        self.tallies = tuple(Tally() for _ in self.checks)
        self.rows_checked = 0
        asked = {check.column for check in self.checks}
        self._rules = {
            name: rule for name, rule in rules_by_name(contract).items() if name in asked
        }
        self._runner = SuiteRunner("rows", self.checks)

    def check(self, frame: pl.DataFrame) -> Verdict:
        """Find the rows of a chunk that fail a required check, and add all failures to the tally.

        Args:
            frame: grain: one parsed connection; row_number, line_number and the batch's columns in
                their declared types.
        """
        self.rows_checked += frame.height
        failures = self._runner.find_failures(self._prepare(frame))
        required = {
            ordinal: positions
            for ordinal, positions in failures.items()
            if self.checks[ordinal].severity == "required"
        }
        is_refused = np.zeros(frame.height, dtype=np.bool_)
        for positions in required.values():
            is_refused[positions] = True
        for ordinal, positions in failures.items():
            counted = positions if ordinal in required else positions[~is_refused[positions]]
            described = self._describe(ordinal, frame[counted[:LOOKED_AT]])
            self.tallies[ordinal].add(len(counted), described[OBSERVED])
        refused = np.flatnonzero(is_refused)
        slices = [
            refused[first : first + DESCRIBED_ROWS]
            for first in range(0, len(refused), DESCRIBED_ROWS)
        ]
        return Verdict(is_refused, lambda: (self._gather(frame, required, rows) for rows in slices))

    def _gather(
        self,
        frame: pl.DataFrame,
        required: "Mapping[int, NDArray[np.int64]]",
        refused: "NDArray[np.int64]",
    ) -> pl.DataFrame:
        """Collect the reasons, known check by check, of some consecutive refused rows."""
        reasons = []
        for ordinal, positions in required.items():
            first, last = np.searchsorted(positions, [refused[0], refused[-1] + 1])
            within = positions[first:last]
            described = self._describe(ordinal, frame[within])
            reasons.append(described.select(pl.Series(_POSITION, within), reasons=REASON))
        gathered = pl.concat(reasons).group_by(_POSITION, maintain_order=True).agg("reasons")
        rows = frame[refused].select("row_number", "line_number")
        return rows.with_columns(gathered.sort(_POSITION)["reasons"])

    def _describe(self, ordinal: int, rows: pl.DataFrame) -> pl.DataFrame:
        """Say in words what is wrong with rows that failed a check."""
        return describe_failures(self._contract, self.checks[ordinal], rows)

    def _prepare(self, frame: pl.DataFrame) -> "pd.DataFrame":
        """Turn a chunk into what Great Expectations checks fastest.

        Names become categories: a set is looked up once per distinct name instead of once per row
        (.33 against .49 CPU s for 100 expectations on 250,000 rows). A row rule becomes a column
        of its own; it holds where one of its values is null or NaN, which is a failure of its own.
        """
        rules = frame.with_columns(pl.col(pl.Float64).fill_nan(None)).select(
            rule.holds.fill_null(value=True).alias(name) for name, rule in self._rules.items()
        )
        columns = frame.select(self._columns).with_columns(pl.col(pl.String).cast(pl.Categorical))
        # A block a column, which views polars' own memory: .07 CPU s a million rows, not .5.
        return columns.hstack(rules).to_pandas(split_blocks=True)
