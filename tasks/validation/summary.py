"""The results of validation, as the receipt keeps them.

Belongs here: the summary and its parts. Does not belong here: how they are made (``validate``).
"""

from pydantic import BaseModel

from expectations.suites import ExpectationResult
from tasks.wording import plural


class PartFile(BaseModel, frozen=True):
    """One Parquet file of accepted rows."""

    path: str
    """Relative to the batch's folder."""
    rows: int


def advise(result: ExpectationResult) -> str:
    """Return a sentence on what is unusual; the batch is still scored."""
    if result.suite == "profile":
        return f"{result.column} is {result.observed}, expected {result.expected}"
    rows = plural(result.rows_failed, "row")
    return f"{result.column}: {rows}, such as {result.observed}; expected {result.expected}"


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
    results: tuple[ExpectationResult, ...]
    """Every expectation, the rows suite first, in the order of the contract."""
    advisories: tuple[str, ...]
    """What is unusual in a batch that is scored nevertheless, a sentence each."""
    report: str
    """The HTML page, relative to the batch's folder."""

    def advisories_beside(self, column: str | None) -> tuple[str, ...]:
        """Return the advisories, except those on one column, such as the label."""
        own = {advise(result) for result in self.results if result.column == column}
        return tuple(advisory for advisory in self.advisories if advisory not in own)
