"""Fixtures for the tests of contracts: a file is read as a night reads it, up to its scores."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from expectations.registry import load_contracts
from tasks.intake.content import hash_content
from tasks.intake.recognise import recognise_contract
from tasks.intake.stage import FileJob
from tasks.validation.accept import Refusal, ingest, validate
from tests.support.pipeline.stand_ins import stand_in_suites


@dataclass(frozen=True)
class ReadFile:
    """What becomes of the rows of a file."""

    contract: Contract
    rows_read: int
    reasons: Counter[str]
    """The first reason of each quarantined row, without the value that was found."""
    accepted: pl.DataFrame
    advisories: tuple[str, ...]

    @property
    def nulls(self) -> dict[str, int]:
        """The missing values of the accepted rows, by column."""
        counts = self.accepted.null_count().row(0, named=True)
        return {name: count for name, count in counts.items() if count}


@pytest.fixture
def read_file(tmp_path: Path) -> Callable[[Path], ReadFile]:
    """Return a function that recognises, parses and checks a file, or raises its refusal."""

    def read(path: Path) -> ReadFile:
        contract = recognise_contract(path, load_contracts())
        job = FileJob(
            source=path,
            batch_id=hash_content(path).sha256,
            contract=contract.name,
            folder=tmp_path / "lake" / path.name,
            chunk_rows=100_000,
            max_quarantine_ratio=0.5,
        )
        with stand_in_suites():
            ingested = ingest(job, None)
            if isinstance(ingested, Refusal):
                raise InputRejectedError(ingested.reason)
            validated = validate(job, ingested)
            if isinstance(validated, Refusal):
                raise InputRejectedError(validated.reason)
        kept = (ingested.quarantine, validated.quarantine)
        quarantined = [pl.read_parquet(job.folder / one) for one in kept if one]
        reasons = Counter(
            reasons[0].partition("'")[0].strip()
            for frame in quarantined
            for reasons in frame["reasons"].to_list()
        )
        parts = [pl.read_parquet(job.folder / part.path) for part in validated.parts]
        accepted = pl.concat(parts)
        assert ingested.rows_read == accepted.height + reasons.total()
        return ReadFile(
            contract, ingested.rows_read, reasons, accepted, tuple(validated.advisories)
        )

    return read
