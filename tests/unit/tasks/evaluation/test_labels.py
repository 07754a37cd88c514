from pathlib import Path

import polars as pl
import pytest

from expectations.contract import Column, Contract, Labels
from expectations.nsl_kdd import NSL_KDD
from tasks.evaluation.labels import attack_name, find_unclear_labels, has_labels, is_attack

LABELLED = Contract(
    name="small",
    title="",
    source="",
    columns=(),
    labels=Labels(column="class", normal=("normal",), names="attack"),
)
FRAME = pl.DataFrame(
    {
        "class": ["normal", "anomaly", "unheard of", None],
        "attack": ["neptune", "normal", "satan", None],
    }
)


def test_every_label_but_normal_is_an_attack_and_no_label_is_null() -> None:
    labels = FRAME.select(is_attack(LABELLED, ["class"]))
    assert labels["is_attack"].to_list() == [False, True, True, None]


def test_the_attack_decides_only_where_there_is_no_label_column() -> None:
    by_attack = FRAME.select(is_attack(LABELLED, ["attack"]))
    assert by_attack["is_attack"].to_list() == [True, False, True, None]
    by_label = FRAME.select(is_attack(LABELLED, ["attack", "class"]))
    assert by_label["is_attack"].to_list() == [False, True, True, None]


def test_a_file_has_labels_if_it_has_either_column() -> None:
    assert has_labels(LABELLED, ["duration", "attack"])
    assert not has_labels(LABELLED, ["duration"])


DECLARED = Contract(
    name="small",
    title="",
    source="",
    columns=(Column(name="class", kind="category", meaning="", values=("normal", "anomaly")),),
    labels=Labels(column="class", normal=("normal",), names="attack"),
)
WRITTEN = ["normal", "Normal", "normal.", "benign", " normal", "anomaly", "", None, "Normal"]


def unclear(folder: Path, contract: Contract, **columns: list[str | None]) -> str | None:
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(folder / "part")
    return find_unclear_labels([folder / "part"], contract)


def test_a_label_that_is_not_declared_is_named_with_its_rows(tmp_path: Path) -> None:
    assert unclear(tmp_path, DECLARED, **{"class": WRITTEN}) == (
        "unclear labels in 6 rows: class 'Normal' in 2 rows, "
        "class '' in 1 row, class ' normal' in 1 row, class 'benign' in 1 row and 1 other label. "
        "Expected 'normal' or 'anomaly', written exactly so, or the name of an attack."
    )


@pytest.mark.parametrize("like", ["Normal", "normal.", " normal", "normal ", "NORMAL..", "", " . "])
def test_an_attack_whose_name_resembles_normal_is_unclear(tmp_path: Path, like: str) -> None:
    told = unclear(tmp_path, DECLARED, attack=["normal", like, "neptune", None])
    assert told is not None
    assert told.startswith(f"unclear labels in 1 row: attack '{like}' in 1")
    assert "Expected 'normal', written exactly so, or the name of an attack." in told


def test_an_unknown_attack_is_an_attack(tmp_path: Path) -> None:
    assert unclear(tmp_path, DECLARED, attack=["normal", "mscan", "abnormal", "t1499"]) is None


@pytest.mark.parametrize("word", ["benign", "BENIGN", "0", "1", "1.0", "True", "no", "-", "nan"])
def test_a_word_that_names_no_attack_is_unclear_in_the_attack_column(
    tmp_path: Path, word: str
) -> None:
    told = unclear(tmp_path, DECLARED, attack=["normal", word, "neptune"])
    assert told is not None
    assert told.startswith(f"unclear labels in 1 row: attack '{word}' in 1")


def test_a_name_that_contradicts_the_label_beside_it_is_unclear(tmp_path: Path) -> None:
    agree = {
        "class": ["normal", "anomaly", "anomaly", None],
        "attack": ["Normal", "satan", "", "x"],
    }
    assert unclear(tmp_path, DECLARED, **agree) is None
    differ = {"class": ["normal", "anomaly", "anomaly"], "attack": ["satan", "normal.", "satan"]}
    told = unclear(tmp_path, DECLARED, **differ)
    assert told is not None
    assert told.startswith("unclear labels in 2 rows: ")
    assert "class 'anomaly' beside attack 'normal.' in 1 row" in told
    assert "class 'normal' beside attack 'satan' in 1 row" in told


def test_the_general_word_for_attack_names_none(tmp_path: Path) -> None:
    names = pl.DataFrame({"attack": ["anomaly", "", "satan", "normal", None]})
    named = names.select(attack_name(DECLARED, ["attack"]))["attack"].to_list()
    assert named == [None, None, "satan", "normal", None]


def test_where_no_values_are_declared_any_other_word_is_an_attack(tmp_path: Path) -> None:
    assert unclear(tmp_path, LABELLED, **{"class": ["normal", "bad"]}) is None
    told = unclear(tmp_path, LABELLED, **{"class": ["normal", "Normal."]})
    assert told is not None
    assert "class 'Normal.' in 1 row" in told


def test_of_many_unclear_labels_the_most_frequent_are_named_in_printable_form(
    tmp_path: Path,
) -> None:
    written = ["a\x1b" + "x" * 99, *"bcdefgh", "h"]
    told = unclear(tmp_path, DECLARED, **{"class": list(written)})
    assert told is not None
    assert told.isprintable()
    assert "class 'h' in 2 rows, class 'a\\x1b" in told
    assert " and 4 other labels. Expected" in told


def test_rows_of_all_parts_are_counted(tmp_path: Path) -> None:
    for name, label in (("a", "Normal"), ("b", "normal")):
        pl.DataFrame({"class": [label, "Normal"]}).write_parquet(tmp_path / name)
    told = find_unclear_labels([tmp_path / "a", tmp_path / "b"], DECLARED)
    assert told is not None
    assert told.startswith("unclear labels in 3 rows")


def names(folder: Path, contract: Contract, **columns: list[str | None]) -> list[str | None]:
    """Read the names of the attacks in a part with these columns."""
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return frame.select(attack_name(contract, columns))["attack"].to_list()


def test_names_of_attacks_in_the_label_column_are_the_names_of_its_attacks(tmp_path: Path) -> None:
    written = ["normal", "neptune", "Satan.", "unheard_of", "anomaly", "", None]
    clear = {"class": ["normal", "neptune", "Satan.", "unheard_of", "anomaly", None]}
    assert unclear(tmp_path, NSL_KDD, **clear) is None
    attacks = pl.DataFrame({"class": written}).select(is_attack(NSL_KDD, ["class"]))["is_attack"]
    assert attacks.to_list()[:5] == [False, True, True, True, True]
    named = names(tmp_path, NSL_KDD, **{"class": written})
    assert named == [None, "neptune", "satan", "unheard_of", None, None, None]


def test_the_attack_column_names_the_attack_before_the_label_column(tmp_path: Path) -> None:
    columns = {"class": ["neptune", "satan", "normal"], "attack": ["smurf", "", "normal"]}
    assert names(tmp_path, NSL_KDD, **columns) == ["smurf", "satan", "normal"]


def test_an_unknown_name_is_unclear_in_a_label_column_without_known_attacks(
    tmp_path: Path,
) -> None:
    told = unclear(tmp_path, NSL_KDD, **{"class": ["normal", "unheard_of", "anomaly"]})
    assert told is not None
    assert "class 'unheard_of' in 1 row. Expected" in told
    near = unclear(tmp_path, NSL_KDD, **{"class": ["normal", "neptune", "Normal", "benign", "0"]})
    assert near is not None
    assert near.startswith("unclear labels in 3 rows")


@pytest.mark.parametrize("word", ["attack", "Attack", "Anomaly", "malicious", "DoS", "r2l"])
def test_other_words_for_attack_and_families_are_clear_in_the_label_column(
    tmp_path: Path, word: str
) -> None:
    written: dict[str, list[str | None]] = {"class": ["normal", word]}
    assert unclear(tmp_path, NSL_KDD, **written) is None
    (_, named) = names(tmp_path, NSL_KDD, **written)
    assert named == (word if word in {"DoS", "r2l"} else None)
