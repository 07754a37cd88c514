import gzip
import io
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard

from expectations.errors import UsageError
from tasks.simulation.attacks import ATTACK_SHARES
from tasks.simulation.simulate import describe_connections, simulate_connections, simulate_night
from tests.support.sources import NSL_KDD

NIGHT = date(2026, 11, 3)
ROWS = 20_000


def described(scenario: str = "ordinary", seed: int = 7) -> pl.DataFrame:
    return describe_connections(
        simulate_connections(rows=ROWS, seed=seed, night=NIGHT, scenario=scenario)
    )


@pytest.fixture(scope="module")
def ordinary() -> pl.DataFrame:
    return described()


@pytest.fixture(scope="module")
def changed() -> pl.DataFrame:
    return described("drift")


def bytes_of(folder: Path, name: str = "night.csv", **request: object) -> bytes:
    simulate_night(folder / name, **{"rows": 1_500, "seed": 7, "night": NIGHT, **request})
    return (folder / name).read_bytes()


def test_equal_arguments_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    first = bytes_of(tmp_path)

    assert bytes_of(tmp_path) == first
    assert bytes_of(tmp_path, seed=8) != first
    assert bytes_of(tmp_path, night=date(2026, 11, 4)) != first


@pytest.mark.parametrize(
    ("labelled", "extra"), [(False, ()), (True, ("class", "attack"))], ids=["bare", "labelled"]
)
def test_the_file_has_the_columns_of_the_contract_and_the_given_number_of_lines(
    tmp_path: Path, *, labelled: bool, extra: tuple[str, ...]
) -> None:
    header, *lines = bytes_of(tmp_path, labelled=labelled).decode().splitlines()

    assert header.split(",") == [*NSL_KDD.feature_names, *extra]
    assert len(lines) == 1_500


def test_rates_are_written_with_two_decimals(tmp_path: Path) -> None:
    header, first, *_ = bytes_of(tmp_path).decode().splitlines()

    record = dict(zip(header.split(","), first.split(","), strict=True))
    assert record["same_srv_rate"] == "1.00"
    assert record["count"] == "1"


def test_every_attack_happens_and_is_counted(tmp_path: Path) -> None:
    summary = simulate_night(tmp_path / "night.csv", rows=1_500, seed=7, night=NIGHT, labelled=True)

    written = pl.read_csv(tmp_path / "night.csv").filter(pl.col("class") == "anomaly")
    assert dict(summary.attack_rows) == dict(written["attack"].value_counts().iter_rows())
    assert set(summary.attack_rows) == set(ATTACK_SHARES) <= set(NSL_KDD.families)


def test_a_few_per_cent_of_the_connections_are_attacks(ordinary: pl.DataFrame) -> None:
    share = (ordinary["class"] == "anomaly").mean()

    assert 0.02 < share < 0.1
    assert ((ordinary["attack"] == "normal") == (ordinary["class"] == "normal")).all()


@pytest.mark.parametrize("night", ["ordinary", "changed"])
def test_every_row_satisfies_every_condition_of_the_contract(
    night: str, request: pytest.FixtureRequest
) -> None:
    frame = request.getfixturevalue(night)

    broken = {
        rule.name: frame.filter(~rule.expression).height
        for rule in NSL_KDD.row_rules
        if not frame.select(rule.expression.all()).item()
    }
    outside = {
        column.name
        for column in NSL_KDD.columns
        if column.name in frame.columns
        and not (
            frame[column.name].null_count() == 0
            and frame[column.name].dtype == column.dtype
            and (column.values is None or frame[column.name].is_in(list(column.values)).all())
            and (column.minimum is None or (frame[column.name] >= column.minimum).all())
            and (column.maximum is None or (frame[column.name] <= column.maximum).all())
        )
    }
    assert (broken, outside) == ({}, set())


@pytest.mark.real_data
def test_every_protocol_service_and_state_occurs_together_in_published_rows(
    ordinary: pl.DataFrame, nsl_kdd_folder: Path
) -> None:
    published = pl.read_csv(
        nsl_kdd_folder / "KDDTrain+.txt",
        has_header=False,
        new_columns=[*NSL_KDD.feature_names, "attack", "difficulty"],
        schema_overrides=dict(NSL_KDD.schema),
    )

    for columns in (["protocol_type", "service"], ["protocol_type", "flag"]):
        unheard_of = ordinary.join(published, on=columns, how="anti").select(columns).unique()
        assert unheard_of.rows() == []


@pytest.mark.parametrize("feature", NSL_KDD.feature_names)
def test_no_single_feature_identifies_the_attacks(ordinary: pl.DataFrame, feature: str) -> None:
    """A rule on the values of one feature misses attacks or flags normal rows."""
    is_attack = ordinary["class"] == "anomaly"
    values = pl.DataFrame({"value": ordinary[feature], "is_attack": is_attack})

    flagged = values.filter(pl.col("is_attack").mean().over("value") > 0.5)

    caught = flagged["is_attack"].sum()
    f1 = 2 * caught / (flagged.height + is_attack.sum())
    assert f1 < 0.9  # 0.81 at most over ten seeds (src_bytes: floods send nothing)


def test_a_changed_site_has_a_new_service_new_backups_and_larger_pages(
    ordinary: pl.DataFrame, changed: pl.DataFrame
) -> None:
    def share(frame: pl.DataFrame, condition: pl.Expr) -> float:
        return frame.filter(pl.col("class") == "normal").select(condition.mean()).item()

    new_service = pl.col("service") == "sql_net"
    large = (pl.col("service") == "ssh") & (pl.col("src_bytes") > 300_000)
    assert share(ordinary, new_service) == 0
    assert share(changed, new_service) > 0.05
    assert share(changed, large) > share(ordinary, large) + 0.04
    page = pl.col("dst_bytes").filter(pl.col("service") == "http", pl.col("dst_bytes") > 0)
    assert changed.select(page.median()).item() > 2 * ordinary.select(page.median()).item()


def test_a_changed_site_has_the_same_attacks(ordinary: pl.DataFrame, changed: pl.DataFrame) -> None:
    counts = [
        dict(frame["attack"].value_counts().filter(pl.col("attack") != "normal").iter_rows())
        for frame in (ordinary, changed)
    ]

    assert counts[0] == counts[1]


def is_well_formed(line: bytes) -> bool:
    """Parse a line strictly in plain Python."""
    try:
        fields = line.decode("ascii").split(",")
    except UnicodeDecodeError:
        return False
    if len(fields) != len(NSL_KDD.features) or "\0" in line.decode("ascii"):
        return False
    for text, column in zip(fields, NSL_KDD.features, strict=True):
        if column.is_categorical:
            if text not in column.values:
                return False
            continue
        try:
            number = float(text) if column.dtype == pl.Float64 else int(text)
        except ValueError:
            return False
        if not (column.minimum or 0) <= number <= (column.maximum or 10**12):
            return False
    return True


def test_the_summary_counts_the_malformed_lines_and_the_others_are_unchanged(
    tmp_path: Path,
) -> None:
    good = bytes_of(tmp_path, "good.csv").splitlines()
    summary = simulate_night(
        tmp_path / "bad.csv", rows=1_500, seed=7, night=NIGHT, scenario="bad_rows"
    )
    bad = (tmp_path / "bad.csv").read_bytes().splitlines()

    assert summary.rows == len(bad) - 1 == 1_500
    changed_lines = [line for line, before in zip(bad, good, strict=True) if line != before]
    assert [line for line in bad[1:] if not is_well_formed(line)] == changed_lines
    assert len(changed_lines) == summary.bad_rows >= 13


def test_no_malformed_line_was_an_attack(tmp_path: Path) -> None:
    summary = simulate_night(
        tmp_path / "bad.csv", rows=1_500, seed=7, night=NIGHT, scenario="bad_rows", labelled=True
    )

    attacks = [
        line for line in (tmp_path / "bad.csv").read_bytes().splitlines() if b",anomaly," in line
    ]
    assert len(attacks) == sum(summary.attack_rows.values())
    assert all(line.count(b",") == 42 for line in attacks)


def test_the_ending_of_the_name_decides_the_format(tmp_path: Path) -> None:
    plain = bytes_of(tmp_path)

    assert gzip.decompress(bytes_of(tmp_path, "night.csv.gz")) == plain
    assert zstandard.decompress(bytes_of(tmp_path, "night.csv.zst")) == plain
    bytes_of(tmp_path, "night.parquet")
    assert pl.read_parquet(tmp_path / "night.parquet").equals(
        pl.read_csv(io.BytesIO(plain), schema_overrides=dict(NSL_KDD.schema))
    )


@pytest.mark.parametrize(
    ("name", "request_", "message"),
    [
        ("night.csv", {"rows": 999}, "expected at least 1,000"),
        ("night.csv", {"seed": -1}, "expected 0 or a larger number"),
        ("night.csv", {"scenario": "storm"}, "ordinary, drift, bad_rows"),
        ("night.txt", {}, "Expected one of .csv, .csv.gz, .csv.zst, .parquet"),
        ("night.parquet", {"scenario": "bad_rows"}, "Parquet holds typed columns"),
    ],
)
def test_an_invalid_request_is_refused_and_leaves_no_file(
    tmp_path: Path, name: str, request_: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bytes_of(tmp_path, name, **request_)

    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_refused_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")

    with pytest.raises(UsageError, match="Nothing was written"):
        bytes_of(tmp_path / "folder")


def test_connections_are_in_time_order_and_within_the_night() -> None:
    stream = simulate_connections(rows=2_000, seed=7, night=NIGHT)

    assert stream["start"].is_sorted()
    assert stream["start"].dt.date().min() == NIGHT
    late = (stream["start"].dt.date() > NIGHT).mean()  # bursts that run on past midnight
    assert late < 0.01


def test_hosts_have_as_many_connections_on_a_short_night_as_on_a_long_one() -> None:
    def typical(rows: int) -> float:
        stream = simulate_connections(rows=rows, seed=7, night=NIGHT)
        inside = stream.filter(pl.col("source_host").str.starts_with("10.20."))
        return inside["source_host"].value_counts()["count"].median()

    assert np.isclose(typical(10_000), typical(40_000), rtol=0.25)
