"""How many rows a batch has, by what happened to them.

Belongs here: the counts and the equation that holds for every finished batch. Does not belong here:
the counts of one stage (its summary has them).
"""

from typing import Self

from pydantic import BaseModel, model_validator


class RowCounts(BaseModel, frozen=True):
    """The rows of a finished batch; every row read is counted in exactly one other field."""

    rows_read: int = 0
    rows_scored: int = 0
    rows_quarantined: int = 0
    rows_rejected: int = 0
    """All new rows of a batch that is rejected whole."""
    rows_known: int = 0
    """Rows that another batch accounts for."""

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        """Refuse counts that do not add up."""
        parts = (self.rows_scored, self.rows_quarantined, self.rows_rejected, self.rows_known)
        if self.rows_read != sum(parts):
            message = f"{self.rows_read} rows were read, {sum(parts)} are accounted for: {parts}"
            raise ValueError(message)
        return self

    @classmethod
    def of_rejected(cls, rows_read: int, rows_known: int = 0) -> Self:
        """Return the counts of a batch that is rejected whole."""
        rows_rejected = rows_read - rows_known
        return cls(rows_read=rows_read, rows_rejected=rows_rejected, rows_known=rows_known)
