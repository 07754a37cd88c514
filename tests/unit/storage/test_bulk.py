"""Bulk inserts store the same rows on both databases."""

import traceback
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from storage.bulk import STATEMENT_ROWS, TUPLE_ROWS, insert_frame, read_slices
from storage.column_types import PlainText, RecordJson
from storage.database import connect, read, write
from storage.schema import prediction

table = sa.Table(
    "sample",
    sa.MetaData(),
    sa.Column("ordinal", sa.BigInteger, primary_key=True),
    sa.Column("day", sa.Date),
    sa.Column("number", sa.Double),
    sa.Column("is_so", sa.Boolean),
    sa.Column("words", PlainText),
    sa.Column("document", RecordJson),
    sa.Column("raw", sa.LargeBinary),
)
SCHEMA = {
    "ordinal": pl.Int64,
    "day": pl.Date,
    "number": pl.Float64,
    "is_so": pl.Boolean,
    "words": pl.String,
    "document": pl.String,
    "raw": pl.Binary,
}

DECODED = {r'{"a": "\u0000"}': {"a": r"\x00"}, '["x,\\"y"]': ['x,"y'], "{}": {}, "[1.5]": [1.5]}

rows = st.lists(
    st.fixed_dictionaries(
        {
            "day": st.none() | st.dates(),
            "number": st.none() | st.floats(allow_infinity=True),
            "is_so": st.none() | st.booleans(),
            "words": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
            "document": st.none()
            | st.sampled_from([r'{"a": "\u0000"}', '["x,\\"y"]', "{}", "[1.5]"]),
            "raw": st.none() | st.binary(),
        }
    ),
    max_size=6,
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "postgresql15"])
def sample(
    request: pytest.FixtureRequest,
    server_named: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Engine:
    url = None if request.param == "sqlite" else server_named(request.param)
    engine = connect(url, tmp_path_factory.mktemp("home"))
    with write(engine) as connection:
        table.create(connection)
    yield engine
    with write(engine) as connection:
        table.drop(connection)
    engine.dispose()


def slow_rows(given_rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """What should be read back, value by value."""
    expected = []
    for ordinal, row in enumerate(given_rows):
        number, words = row["number"], row["words"]
        expected.append(
            {
                "ordinal": ordinal,
                "day": row["day"],
                "number": None if number is None or number != number else number,  # noqa: PLR0124
                "is_so": row["is_so"],
                "words": None if words is None else words.replace("\0", r"\x00"),
                "document": DECODED.get(row["document"]),
                "raw": row["raw"],
            }
        )
    return expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(given_rows=rows)
def test_rows_are_read_back_as_they_were_given(
    sample: Engine, given_rows: list[dict[str, object]]
) -> None:
    frame = pl.DataFrame(
        [{"ordinal": ordinal, **row} for ordinal, row in enumerate(given_rows)], schema=SCHEMA
    )
    with write(sample) as connection:
        connection.execute(sa.delete(table))
        assert insert_frame(connection, table, frame) == len(given_rows)
    with read(sample) as connection:
        found = connection.execute(sa.select(table).order_by(table.c.ordinal)).mappings()
        assert [dict(row) for row in found] == slow_rows(given_rows)


@pytest.mark.parametrize(
    "height", [1, STATEMENT_ROWS - 1, STATEMENT_ROWS, STATEMENT_ROWS + 1, 2 * TUPLE_ROWS + 3]
)
def test_every_row_is_stored_once_however_many_make_a_statement(
    sample: Engine, height: int
) -> None:
    ordinals = pl.DataFrame({"ordinal": range(height), "number": [0.5] * height})
    with write(sample) as connection:
        connection.execute(sa.delete(table))
        assert insert_frame(connection, table, ordinals) == height
        stored = connection.scalars(sa.select(table.c.ordinal).order_by(table.c.ordinal)).all()
        assert stored == list(range(height))
        connection.execute(sa.delete(table))


def test_columns_that_are_not_given_stay_null(sample: Engine) -> None:
    with write(sample) as connection:
        connection.execute(sa.delete(table))
        insert_frame(connection, table, pl.DataFrame({"ordinal": [7], "words": [""]}))
        (row,) = connection.execute(sa.select(table)).mappings()
    assert (row["ordinal"], row["words"], row["number"]) == (7, "", None)


def test_a_bulk_write_ends_with_its_transaction(sample: Engine) -> None:
    frame = pl.DataFrame({"ordinal": [1, 2, 3]})

    def fail() -> None:
        with write(sample) as connection:
            connection.execute(sa.delete(table))
            insert_frame(connection, table, frame)
            _ = 1 / 0

    with write(sample) as connection:
        before = connection.scalar(sa.select(sa.func.count()).select_from(table))
    with pytest.raises(ZeroDivisionError):
        fail()
    with read(sample) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == before


def test_what_is_not_a_number_may_not_stand_where_null_may_not(engine: Engine) -> None:
    frame = pl.DataFrame(
        {
            "batch_date": [date(2026, 1, 1)],
            "scoring_id": [1],
            "row_number": [987_654],
            "classifier_score": [0.0],
            "one_class_score": [float("nan")],
            "anomaly_score": [0.0],
            "is_flagged": [False],
        }
    )
    refused = pytest.raises((IntegrityError, engine.dialect.loaded_dbapi.IntegrityError))
    with refused as caught, write(engine) as connection:
        insert_frame(connection, prediction, frame)
    assert "987654" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("height", "heights"), [(0, []), (1, [1]), (2, [2]), (5, [2, 2, 1]), (6, [2, 2, 2])]
)
def test_a_file_is_read_in_slices_that_make_it_up(
    tmp_path: Path, height: int, heights: list[int]
) -> None:
    whole = pl.DataFrame({"row_number": range(height)}, schema={"row_number": pl.Int64})
    path = tmp_path / "rows [1].parquet"
    whole.write_parquet(path, row_group_size=3)
    slices = list(read_slices(path, rows=2))
    assert [frame.height for frame in slices] == heights
    assert pl.concat([whole.clear(), *slices]).equals(whole)
