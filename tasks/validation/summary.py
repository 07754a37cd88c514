"""The results of validation, as the receipt keeps them.

Belongs here: the summary and its parts. Does not belong here: how they are made (``validate``).
"""

from pydantic import BaseModel

from expectations.contract import Severity
from expectations.suites import SuiteName
from tasks.wording import plural


class PartFile(BaseModel, frozen=True):
    """One Parquet file of accepted rows."""

    path: str
    """Relative to the batch's folder."""
    rows: int


class ExpectationOutcome(BaseModel, frozen=True):
    """The result of one expectation on the whole batch."""

    suite: SuiteName
    expectation: str
    """Its name in Great Expectations."""
    column: str | None
    """A declared column, a row rule, or a statistic of the profile."""
    severity: Severity
    is_success: bool
    rows_checked: int
    """Parsed rows of the batch; 1 in the profile suite."""
    rows_failed: int
    observed: str | None
    """The value of a statistic; of the rows suite, the first few values that failed."""
    expected: str

    @property
    def advisory(self) -> str:
        """A sentence on what is unusual; the batch is scored all the same."""
        if self.suite == "profile":
            return f"{self.column} is {self.observed}, expected {self.expected}"
        rows = plural(self.rows_failed, "row")
        return f"{self.column}: {rows}, such as {self.observed}; expected {self.expected}"


class ValidationSummary(BaseModel, frozen=True):
    """What validation decided.

    Unless the batch is rejected, its new rows are rows_accepted + rows_quarantined + the rows that
    ingest could not parse.
    """

    rows_accepted: int
    """0 if the batch is rejected."""
    rows_quarantined: int
    """Rows that failed a required expectation, also in a rejected batch; ``quarantine`` has their
    lines."""
    parts: tuple[PartFile, ...]
    quarantine: str | None
    is_rejected: bool
    rejection: str | None
    """Why, in one sentence."""
    results: tuple[ExpectationOutcome, ...]
    """Every expectation, the rows suite first, in the order of the contract."""
    advisories: tuple[str, ...]
    """What is unusual in a batch that is scored all the same, a sentence each."""
    report: str
    """The HTML page, relative to the batch's folder."""

    def advisories_beside(self, column: str | None) -> tuple[str, ...]:
        """Return the advisories, except those on one column, such as the label."""
        own = {outcome.advisory for outcome in self.results if outcome.column == column}
        return tuple(advisory for advisory in self.advisories if advisory not in own)
