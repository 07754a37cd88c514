"""The contract against the NSL-KDD files themselves: all three keep it."""

from pathlib import Path

import polars as pl
import pytest

from expectations.suites import batch_bounds
from tasks.validation.batch_profile import BatchProfile
from tasks.validation.row_checks import RowChecker
from tests.support.sources import NSL_KDD

pytestmark = pytest.mark.real_data

FILES = {
    "Train_data.csv": (*NSL_KDD.feature_names, "class"),
    "Test_data.csv": NSL_KDD.feature_names,
    "KDDTrain+.txt": NSL_KDD.form.orders[2],
}
ROWS = {"Train_data.csv": 25_192, "Test_data.csv": 22_544, "KDDTrain+.txt": 125_973}
WINDOWS_WITHOUT_THEIR_CONNECTION = {"Train_data.csv": 1, "Test_data.csv": 2, "KDDTrain+.txt": 16}


def read_plainly(path: Path) -> pl.DataFrame:
    names = FILES[path.name]
    frame = pl.read_csv(
        path,
        has_header=path.suffix == ".csv",
        new_columns=names,
        schema_overrides=[NSL_KDD.schema[name] for name in names],
    ).with_row_index("row_number", offset=1)
    return frame.with_columns(pl.col("row_number").cast(pl.Int64), line_number="row_number")


@pytest.mark.parametrize("file_name", FILES)
def test_a_real_file_keeps_the_contract(nsl_kdd_folder: Path, file_name: str) -> None:
    frame = read_plainly(nsl_kdd_folder / file_name)
    checker = RowChecker(NSL_KDD, FILES[file_name])
    assert not checker.check(frame).is_refused.any()
    failed = {
        check.column: tally.rows_failed
        for check, tally in zip(checker.checks, checker.tallies, strict=True)
        if tally.rows_failed
    }
    assert frame.height == ROWS[file_name]
    assert failed == {"windows_hold_the_connection": WINDOWS_WITHOUT_THEIR_CONNECTION[file_name]}


@pytest.mark.parametrize("file_name", FILES)
def test_a_real_file_is_within_every_bound_of_a_batch(nsl_kdd_folder: Path, file_name: str) -> None:
    frame = read_plainly(nsl_kdd_folder / file_name)
    profile = BatchProfile(
        NSL_KDD, [bound.name for bound in batch_bounds(NSL_KDD)], NSL_KDD.by_name
    )
    profile.add(frame)
    rows = frame.height
    found = profile.statistics(rows_read=rows, rows_unparsed=0, rows_accepted=rows)
    outside = {
        bound.name: found[bound.name]
        for bound in batch_bounds(NSL_KDD)
        if not (
            (bound.minimum is None or found[bound.name] >= bound.minimum)
            and (bound.maximum is None or found[bound.name] <= bound.maximum)
        )
    }
    assert outside == {}


def test_the_declared_services_are_those_of_the_files(nsl_kdd_folder: Path) -> None:
    seen: set[str] = set()
    for file_name in FILES:
        seen |= set(read_plainly(nsl_kdd_folder / file_name)["service"])
    assert seen == set(NSL_KDD.by_name["service"].values or ())
