"""A label column is found by name or values and read by the options, or the file is refused."""

import gzip
import shlex
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.errors import TrainingDataError, UsageError
from tasks.evaluation.label_columns import (
    LabelChoice,
    ask_labels,
    choose_labels,
    require_normal,
)
from tasks.intake.content import hash_content
from tasks.intake.ingest import IngestSummary, ingest_file
from tasks.intake.label_words import LabelReading
from tasks.intake.source import IngestOptions
from tests.support.sources import NSL_KDD

ROW = {
    column.name: {"protocol_type": "tcp", "service": "http", "flag": "SF"}.get(column.name, "0")
    for column in NSL_KDD.features
}
PLAIN = LabelReading()


def write(file: Path, **columns: Sequence[object]) -> Path:
    """Write a file of connections that differ in these columns alone."""
    rows = len(next(iter(columns.values())))
    frame = pl.DataFrame({**{name: [value] * rows for name, value in ROW.items()}, **columns})
    if file.suffix == ".parquet":
        numbers = [one.name for one in NSL_KDD.features if not one.is_categorical]
        frame.with_columns(pl.col(numbers).cast(pl.Int64)).write_parquet(file)
    else:
        frame.write_csv(file)
    return file


def choose(file: Path, asked: LabelReading = PLAIN, doing: str = "train on") -> LabelChoice:
    (found,) = choose_labels([file], NSL_KDD, asked, doing)
    return found


def refusal(file: Path, asked: LabelReading = PLAIN) -> str:
    with pytest.raises(TrainingDataError) as refused:
        choose(file, asked)
    return str(refused.value)


def ingest(
    file: Path, folder: Path, reading: LabelReading | None
) -> tuple[IngestSummary, pl.DataFrame]:
    """Ingest a file with its labels read in some way; return the rows too."""
    out = folder / "ingest"
    out.mkdir()
    options = IngestOptions(labels=reading)
    summary = ingest_file(file, NSL_KDD, out, hash_content(file).sha256, options)
    return summary, pl.concat([pl.read_parquet(folder / part) for part in summary.parts])


@pytest.mark.parametrize(
    "name",
    ["label", "Label", "labels", "target", "y", "outcome", "is_attack", "isAttack", "attack_cat",
     "Attack Cat", "attack.type", "attackcat", "category", "type", "anomaly", "malicious",
     "intrusion", "result", "ground_truth", "groundTruth", "Binary-Label"],
)  # fmt: skip
def test_an_undeclared_column_that_is_named_like_a_label_is_named(
    tmp_path: Path, name: str
) -> None:
    said = refusal(write(tmp_path / "a.csv", **{name: ["p", "q", "p"]}))
    assert "Cannot train on a.csv: it has no column 'class' or 'attack'" in said
    assert f"Column '{name}' looks like a label: it holds 'p' in 2 rows, 'q' in 1 row." in said
    assert f"add --label {shlex.quote(name)}, and --normal VALUE" in said
    assert "add --unlabelled" in said


@pytest.mark.parametrize(
    "values",
    [["normal", "x"], ["Normal.", "x"], ["BENIGN", "x"], ["neptune", "x"], ["smurf.", "x"],
     ["DoS", "x"], ["0", "1"], ["0.0", "1.0"], ["1", "-1"], ["True", "False"], ["x", "anomaly"]],
)  # fmt: skip
def test_an_undeclared_column_that_holds_values_of_labels_is_named(
    tmp_path: Path, values: list[str]
) -> None:
    assert "Column 'k17' looks like a label" in refusal(write(tmp_path / "a.csv", k17=values))


def test_other_columns_are_listed_and_called_no_label(tmp_path: Path) -> None:
    said = refusal(write(tmp_path / "a.csv", site=["north", "south"], port=["80", "443"]))
    assert "looks like a label" not in said
    assert "name it with --label COLUMN: besides the features there are 'site', 'port'." in said


def test_a_file_is_taken_for_normal_only_with_unlabelled(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", label=["normal", "neptune"])
    (found,) = choose_labels([file], NSL_KDD, PLAIN, "train on", is_unlabelled=True)
    assert found.reading is None
    assert "column 'label' looks like a label" in found.notes[0]
    labelled = write(tmp_path / "b.csv", attack=["normal", "neptune"])
    with pytest.raises(TrainingDataError, match="Leave --unlabelled out"):
        choose_labels([labelled], NSL_KDD, PLAIN, "train on", is_unlabelled=True)


def test_only_training_is_advised_to_use_unlabelled(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError) as refused:
        choose(write(tmp_path / "a.csv", site=["a"]), doing="evaluate")
    assert "unlabelled" not in str(refused.value)


@pytest.mark.parametrize("other", [{"label": "label"}, {"normal": ["0"]}])
def test_label_options_contradict_unlabelled(other: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--unlabelled"):
        ask_labels(**{"label": None, "normal": None, **other}, is_unlabelled=True)  # type: ignore[arg-type]


def test_a_label_column_that_no_file_has_is_refused_with_a_list_of_columns(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", site=["a"], verdict=["b"])
    with pytest.raises(UsageError, match=r"no file has such a column.* are 'site', 'verdict'"):
        choose(file, LabelReading(column="label"))


@pytest.mark.parametrize("name", ["duration", "Duration", "Src Bytes", "difficulty", "Difficulty "])
def test_a_declared_column_of_another_kind_is_no_label(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="and no label"):
        choose(write(tmp_path / "a.csv", label=["a"]), LabelReading(column=name))


def test_of_several_files_each_has_its_own_label_column(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.csv", **{"class": ["normal", "anomaly"]}),
        write(tmp_path / "b.csv", Label=["normal", "anomaly"]),
    ]
    asked = LabelReading(column="label")
    declared, other = choose_labels(files, NSL_KDD, asked, "train on")
    assert declared.reading is None
    assert other.reading == LabelReading(column="Label")
    bare = write(tmp_path / "c.csv", site=["a", "b"])
    with pytest.raises(TrainingDataError, match=r"train on c\.csv: it has no column 'class'"):
        choose_labels([*files, bare], NSL_KDD, asked, "train on")


def test_files_of_one_name_are_checked_together(tmp_path: Path) -> None:
    days = {"mon": ["quiet", "Slowloris"], "tue": ["Slowloris", "Slowloris"]}
    files = []
    for day, values in days.items():
        (tmp_path / day).mkdir()
        files.append(write(tmp_path / day / "flows.csv", label=values))
    asked = LabelReading(column="label", normal=("quiet",))
    assert len(choose_labels(files, NSL_KDD, asked, "train on")) == len(days)
    with pytest.raises(TrainingDataError, match="no row holds 'quiet'"):
        choose_labels(files[1:], NSL_KDD, asked, "train on")


@pytest.mark.parametrize("values", [["0", "1"], ["True", "False"], ["1", "-1"], ["2", "0", "1"]])
def test_a_pair_of_values_needs_the_one_that_means_normal(
    tmp_path: Path, values: list[str]
) -> None:
    file = write(tmp_path / "a.csv", y=values)
    said = refusal(file, LabelReading(column="y"))
    assert "Say with --normal VALUE which of them means normal" in said
    assert f"'{values[0]}' in 1 row" in said
    assert choose(file, LabelReading(column="y", normal=(values[0],))).reading is not None


def test_a_value_for_normal_in_no_row_is_refused_with_a_list_of_values(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "a.csv", label=["good", "good", *(f"bad{one}" for one in range(9))])
    said = refusal(file, LabelReading(column="label", normal=("goood",)))
    assert (
        "no row holds 'goood', which should mean normal. It holds 'good' in 2 rows, 'bad0'" in said
    )
    assert "and 6 other values." in said


def test_where_no_row_is_normal_the_values_are_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", label=["legit", "neptune"])
    assert "no row is normal. It holds 'legit' in 1 row, 'neptune'" in refusal(
        file, LabelReading(column="label")
    )


def test_a_file_of_known_attacks_alone_is_clear(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", label=["neptune", "Satan.", "DoS", "attack"])
    assert choose(file, LabelReading(column="label")).reading == LabelReading(column="label")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["normal.", "Normal", " NORMAL ", "neptune."], [False] * 3 + [True]),
        (["BENIGN", "benign", "DDoS", None], [False, False, True, None]),
        (["normal", "0", "0.0", "1"], [False] * 3 + [True]),
    ],
)
def test_labels_of_a_named_column_are_read_into_a_column_of_ours(
    tmp_path: Path, values: list[str], expected: list[bool | None]
) -> None:
    file = write(tmp_path / "a.csv", label=values)
    reading = choose(file, LabelReading(column="label", normal=("0",) if "0" in values else ()))
    summary, rows = ingest(file, tmp_path, reading.reading)
    assert rows["_is_attack"].to_list() == expected
    assert rows.columns[-2:] == ["_is_attack", "_attack"]
    assert summary.columns_present == NSL_KDD.feature_names
    assert summary.extra_columns == ()
    assert summary.labels is not None
    assert summary.labels.rows_normal == expected.count(False)
    assert "labels are those of column 'label'" in summary.notes_for_training[-1]


def test_names_of_attacks_are_kept_and_general_words_are_not(tmp_path: Path) -> None:
    written = ["normal", "Neptune.", "DDoS", "attack", "1", "malicious"]
    file = write(tmp_path / "a.csv", label=written)
    _, rows = ingest(file, tmp_path, LabelReading(column="label", normal=("normal",)))
    assert rows["_attack"].to_list() == [None, "neptune", "DDoS", None, None, None]
    assert rows["_is_attack"].to_list() == [False, *[True] * 5]


@pytest.mark.parametrize("dtype", [pl.Boolean, pl.Int8, pl.UInt64, pl.Float32, pl.Float64])
def test_labels_in_parquet_may_be_numbers(tmp_path: Path, dtype: type[pl.DataType]) -> None:
    file = write(tmp_path / "a.parquet", y=pl.Series([0, 1, None, 1]).cast(dtype))
    normal = "false" if dtype == pl.Boolean else "0"
    assert "Say with --normal" in refusal(file, LabelReading(column="y"))
    found = choose(file, LabelReading(column="y", normal=(normal,)))
    _, rows = ingest(file, tmp_path, found.reading)
    assert rows["_is_attack"].to_list() == [False, True, None, True]
    assert rows["_attack"].to_list() == [None, None, None, None]


def test_labels_in_parquet_may_be_categories(tmp_path: Path) -> None:
    values = pl.Series(["benign", "smurf"], dtype=pl.Categorical)
    file = write(tmp_path / "a.parquet", Label=values)
    found = choose(file, LabelReading(column="label"))
    _, rows = ingest(file, tmp_path, found.reading)
    assert rows["_attack"].to_list() == [None, "smurf"]


@pytest.mark.parametrize(
    "other",
    [
        pa.array([1, 2], pa.duration("ms")),
        pa.array([1, 2], pa.timestamp("ns", "Nowhere/Else")),
        pa.array([Decimal(1), None], pa.decimal256(60, 2)),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1", "0"])),
        pa.array([{"a": 1}, None]),
        pa.array([b"a", b"b"]),
    ],
    ids=lambda other: str(other.type),
)
def test_columns_of_parquet_that_cannot_hold_labels_are_ignored(
    tmp_path: Path, other: pa.Array
) -> None:
    file = write(tmp_path / "a.parquet", **{"attack.type": ["benign", "smurf"]})
    pq.write_table(pq.read_table(file).append_column("odd", other), file)
    said = refusal(file)
    assert "'attack.type' looks like a label: it holds 'benign' in 1 row, 'smurf'" in said
    assert "odd" not in said
    assert choose(file, LabelReading(column="attack.type")).reading


def test_other_words_in_the_declared_columns_are_read_as_the_user_says(tmp_path: Path) -> None:
    values = ",".join(ROW.values())
    file = tmp_path / "kdd.txt"
    file.write_text(f"{values},usual.,20\n{values},neptune.,21\n{values},normal.,21\n")
    assert choose(file).reading is None
    found = choose(file, LabelReading(normal=("usual.",)))
    _, rows = ingest(file, tmp_path, found.reading)
    assert rows["_is_attack"].to_list() == [False, True, False]
    assert rows["_attack"].to_list() == [None, "neptune", None]
    assert rows["attack"].to_list() == ["usual.", "neptune.", "normal."]
    assert rows["difficulty"].to_list() == [20, 21, 21]


def test_the_named_label_column_comes_before_the_declared_one(tmp_path: Path) -> None:
    columns = {"class": ["anomaly", "normal"], "attack": ["satan", "normal"], "mine": ["ok", "no"]}
    file = write(tmp_path / "a.csv", **columns)
    found = choose(file, LabelReading(column="mine", normal=("OK",)))
    _, rows = ingest(file, tmp_path, found.reading)
    assert rows["_is_attack"].to_list() == [False, True]
    assert rows["_attack"].to_list() == [None, None]
    assert rows["class"].to_list() == ["anomaly", "normal"]


def test_a_value_that_means_neither_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", label=["normal", "neptune", "-", "Background"])
    said = refusal(file, LabelReading(column="label"))
    assert "unclear labels in 2 rows of its column 'label'" in said
    assert choose(file, LabelReading(column="label", normal=("-", "background"))).reading


@pytest.mark.parametrize("pair", [("0", "1"), ("False", "True"), ("0.0", "2.0"), ("no", "yes")])
def test_a_pair_among_words_is_read_only_as_the_user_says(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    no, yes = pair
    file = write(tmp_path / "flows.csv", label=["BENIGN", "DoS", no, yes, yes])
    assert "unclear labels in 3 rows of its column 'label'" in refusal(
        file, LabelReading(column="label")
    )
    asked = LabelReading(column="label", normal=(no,))
    summary, rows = ingest(file, tmp_path, choose(file, asked).reading)
    assert rows["_is_attack"].to_list() == [False, True, False, True, True]
    assert rows["_attack"].to_list() == [None, "DoS", None, None, None]
    assert summary.labels is not None
    assert summary.labels.rows_unclear == 0


def test_nothing_may_mean_normal(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", attack_cat=[None, "Exploits"])
    _, rows = ingest(file, tmp_path, LabelReading(column="attack_cat", normal=("",)))
    assert rows["_is_attack"].to_list() == [False, True]


def test_unclear_labels_deep_in_a_file_are_refused_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "long.csv", label=["normal"] * 50 + ["-"])
    asked = LabelReading(column="label")
    said = refusal(file, asked)
    monkeypatch.setattr("tasks.intake.first_rows.FIRST_BYTES", file.stat().st_size - 1)
    summary, _ = ingest(file, tmp_path, choose(file, asked).reading)
    assert summary.labels is not None
    with pytest.raises(TrainingDataError) as refused:
        require_normal([("long.csv", summary.labels)], "train on")
    assert str(refused.value) == said


def test_compressed_files_are_read_likewise(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.csv", label=["normal", "smurf"])
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert "Column 'label' looks like a label" in refusal(packed)


def test_a_message_repeats_little_of_a_file(tmp_path: Path) -> None:
    columns = {
        f"label{one}" + "Q" * 300: [f"normal{'Q' * 500}{row}" for row in range(9)]
        for one in range(9)
    }
    file = write(tmp_path / "a.csv", **columns)
    assert refusal(file).count("Q") < 200
    with pytest.raises(UsageError) as refused:
        choose(file, LabelReading(column="Q" * 300))
    assert str(refused.value).count("Q") < 200


def test_a_source_without_labels_and_an_empty_label_column_are_trained_on_as_they_are(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "a.csv", label=["normal", "smurf"])
    bare = replace(NSL_KDD, labels=None, columns=NSL_KDD.features)
    (found,) = choose_labels([file], bare, PLAIN, "train on")
    assert found.reading is None
    assert "column 'label' looks like a label" in found.notes[0]
    (found,) = choose_labels([file], bare, LabelReading(column="label"), "train on")
    assert found.reading == LabelReading(column="label")
    with pytest.raises(TrainingDataError, match="'nsl_kdd' declares no column that says which"):
        choose_labels([file], bare, PLAIN, "evaluate")
    with pytest.raises(UsageError, match=r"Name the column .* with --label"):
        choose_labels([file], bare, LabelReading(normal=("normal",)), "train on")
    blank = choose(write(tmp_path / "blank.csv", **{"class": [None, None]}))
    assert blank.reading is None
    assert "its column 'class' is empty: every connection counts as normal" in blank.notes[0]
