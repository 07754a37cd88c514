from pathlib import Path

import polars as pl
import pytest

from expectations.contract import Column, Contract, Labels
from tasks.evaluation.labels import (
    attack_name,
    find_unclear_labels,
    has_labels,
    is_attack,
    name_families,
)
from tests.support.sources import NSL_KDD


def contract(labels: Labels, *columns: Column) -> Contract:
    return Contract(name="small", title="", source="", columns=columns, labels=labels)


LABELLED = contract(Labels(column="class", normal=("normal",), names="attack"))
DECLARED = contract(
    Labels(column="class", normal=("normal",), names="attack"),
    Column(name="class", kind="category", meaning="", values=("normal", "anomaly")),
)
FRAME = pl.DataFrame(
    {
        "class": ["normal", "anomaly", "unheard of", None],
        "attack": ["neptune", "normal", "satan", None],
    }
)


def truth(of: Contract, **columns: list[str | None]) -> list[bool | None]:
    """Read which rows of a part with these columns are attacks."""
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return frame.select(is_attack(of, columns))["_is_attack"].to_list()


def names(of: Contract, **columns: list[str | None]) -> list[str | None]:
    """Read the names of the attacks in a part with these columns."""
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return frame.select(attack_name(of, columns))["_attack"].to_list()


def unclear(folder: Path, of: Contract, **columns: list[str | None]) -> str | None:
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(folder / "part")
    return find_unclear_labels([folder / "part"], of)


def test_every_label_but_normal_is_an_attack_and_no_label_is_null() -> None:
    labels = FRAME.select(is_attack(LABELLED, ["class"]))
    assert labels["_is_attack"].to_list() == [False, True, True, None]


def test_the_attack_decides_only_where_there_is_no_label_column() -> None:
    by_attack = FRAME.select(is_attack(LABELLED, ["attack"]))
    assert by_attack["_is_attack"].to_list() == [True, False, True, None]
    by_label = FRAME.select(is_attack(LABELLED, ["attack", "class"]))
    assert by_label["_is_attack"].to_list() == [False, True, True, None]


def test_a_file_has_labels_if_it_has_either_column() -> None:
    assert has_labels(LABELLED, ["duration", "attack"])
    assert not has_labels(LABELLED, ["duration"])


UNSW = contract(
    Labels(
        column="label",
        normal=("0", "Benign", "Normal"),
        names="attack_cat",
        families={"Backdoor": "Backdoors", "Backdoors": "Backdoors", "Fuzzers": "Fuzzers"},
    )
)
KDD99 = contract(Labels(column="attack", normal=("normal",), strip=".", families={"smurf": "DoS"}))
ARGUS = contract(
    Labels(
        column="label",
        normal=("From-Normal*", "To-Normal"),
        attacks=("From-Botnet*",),
        ignored=("*",),
        prefix="flow=",
        families={"From-Botnet-V42*": "Neris"},
    )
)
CIC = contract(Labels(column="label", normal=("BENIGN",), families={"Web Attack*": "Web"}))
EXACT = contract(Labels(column="label", normal=("BENIGN",), folds_case=False))


@pytest.mark.parametrize(
    ("of", "label", "name", "means", "named"),
    [
        (UNSW, "0", None, False, None),
        (UNSW, "0.0", " ", False, None),
        (UNSW, "0", "Normal", False, None),
        (UNSW, "1", " Fuzzers ", True, "Fuzzers"),
        (UNSW, " 1.0 ", "backdoors", True, "Backdoors"),
        (UNSW, "1", "Shellcode", True, "Shellcode"),
        (UNSW, "Malicious", "", True, None),
        (UNSW, "benign", None, False, None),
        (UNSW, " ", "", None, None),
        (ARGUS, "flow=From-Normal-V42-UDP", None, False, None),
        (ARGUS, "flow=From-Botnet-V42-TCP-CC", None, True, "From-Botnet-V42-TCP-CC"),
        (ARGUS, "FLOW=from-botnet-v42", None, True, "from-botnet-v42"),
        (ARGUS, "flow=Background-UDP", None, None, None),
        (ARGUS, "flow=To-Normal", None, False, None),
        (ARGUS, "flow=To-Normal-Like", None, None, None),
        (CIC, "Web Attack \x96 XSS", None, True, "Web Attack \x96 XSS"),
        (CIC, "BENIGN", None, False, None),
        (CIC, "Benign ", None, False, None),
        (CIC, "DDoS", None, True, "DDoS"),
    ],
)
def test_a_label_means_what_the_page_says(
    tmp_path: Path,
    of: Contract,
    label: str,
    name: str | None,
    means: bool | None,  # noqa: FBT001 - a case
    named: str | None,
) -> None:
    columns: dict[str, list[str | None]] = {"label": [label]}
    if name is not None:
        columns["attack_cat"] = [name]
    assert truth(of, **columns) == [means]
    assert names(of, **columns) == [named]
    assert unclear(tmp_path, of, **columns) is None


def test_a_full_stop_after_a_label_does_not_count_where_the_page_strips_it(tmp_path: Path) -> None:
    written: list[str | None] = ["normal.", "smurf.", "mscan.", "NORMAL"]
    assert unclear(tmp_path, KDD99, attack=written) is None
    assert truth(KDD99, attack=written) == [False, True, True, False]
    assert names(KDD99, attack=written) == [None, "smurf", "mscan", None]


@pytest.mark.parametrize(
    ("of", "columns", "says"),
    [
        (CIC, {"label": ["BENIGN", "1"]}, "label '1' in 1 row. Expected 'BENIGN', or the name"),
        (CIC, {"label": ["normal", "Bot"]}, "label 'normal' in 1 row"),
        (CIC, {"label": ["nan", "Bot"]}, "label 'nan' in 1 row"),
        (EXACT, {"label": ["Benign", "Bot"]}, "label 'Benign' in 1 row"),
        (
            contract(Labels(column="label", normal=("0",), attacks=("1", "2"))),
            {"label": ["0", "1", "3"]},
            "label '3' in 1 row. Expected '0' or '1' or '2'.",
        ),
        (UNSW, {"label": ["0"], "attack_cat": ["Fuzzers"]}, "label '0' beside attack_cat 'Fuzz"),
        (UNSW, {"label": ["1"], "attack_cat": ["Normal"]}, "label '1' beside attack_cat 'Norm"),
    ],
)
def test_a_label_that_the_page_leaves_open_or_that_contradicts_it_is_unclear(
    tmp_path: Path, of: Contract, columns: dict[str, list[str | None]], says: str
) -> None:
    told = unclear(tmp_path, of, **columns)
    assert told is not None
    assert says in told


def test_a_word_of_the_page_comes_before_what_it_would_mean_by_itself(tmp_path: Path) -> None:
    odd = contract(Labels(column="label", normal=("attack", "1"), ignored=("benign",)))
    written: list[str | None] = ["attack", "1", "benign", "0"]
    assert unclear(tmp_path, odd, label=written) is None
    assert truth(odd, label=written) == [False, False, None, True]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64])
def test_labels_may_be_numbers(dtype: type[pl.DataType]) -> None:
    frame = pl.DataFrame({"label": pl.Series([0, 1, None], dtype=dtype)})
    assert frame.select(is_attack(UNSW, ["label"]))["_is_attack"].to_list() == [False, True, None]


def test_attacks_have_the_family_of_the_page_by_its_spelling_rules() -> None:
    assert name_families(["Web Attack \x96 XSS", "web attack", "Bot"], CIC) == {
        "Web Attack \x96 XSS": "Web",
        "web attack": "Web",
        "Bot": "other",
    }
    assert name_families(["from-botnet-v42-tcp", "From-Botnet-V43"], ARGUS) == {
        "from-botnet-v42-tcp": "Neris",
        "From-Botnet-V43": "other",
    }
    assert name_families(["fuzzers ", "Worms"], UNSW) == {"fuzzers ": "Fuzzers", "Worms": "other"}


def test_labels_that_a_user_named_come_before_those_of_the_page(tmp_path: Path) -> None:
    frame = pl.DataFrame({"label": ["x"], "_is_attack": [False], "_attack": [None]})
    assert frame.select(is_attack(CIC, frame.columns)).to_series().to_list() == [False]
    frame.write_parquet(tmp_path / "part")
    assert find_unclear_labels([tmp_path / "part"], CIC) is None


WRITTEN = ["normal", "Normal", "normal.", "benign", " normal", "anomaly", "", None, "benign"]


def test_a_label_that_is_not_declared_is_named_with_its_rows(tmp_path: Path) -> None:
    assert unclear(tmp_path, DECLARED, **{"class": WRITTEN}) == (
        "unclear labels in 3 rows: class 'benign' in 2 rows, class 'normal.' in 1 row. "
        "Expected 'normal' or 'anomaly', or the name of an attack."
    )


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
    differ = {"class": ["normal", "anomaly", "anomaly"], "attack": ["satan", "normal", "satan"]}
    told = unclear(tmp_path, DECLARED, **differ)
    assert told is not None
    assert told.startswith("unclear labels in 2 rows: ")
    assert "class 'anomaly' beside attack 'normal' in 1 row" in told
    assert "class 'normal' beside attack 'satan' in 1 row" in told


def test_the_general_word_for_attack_names_none() -> None:
    assert names(DECLARED, attack=["anomaly", "", "satan", "normal", None]) == [
        None, None, "satan", None, None,
    ]  # fmt: skip


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
    for name, label in (("a", "benign"), ("b", "normal")):
        pl.DataFrame({"class": [label, "benign"]}).write_parquet(tmp_path / name)
    told = find_unclear_labels([tmp_path / "a", tmp_path / "b"], DECLARED)
    assert told is not None
    assert told.startswith("unclear labels in 3 rows")


def test_names_of_attacks_in_the_label_column_are_the_names_of_its_attacks(tmp_path: Path) -> None:
    written = ["normal", "neptune", "Satan.", "unheard_of", "anomaly", "", None]
    clear = {"class": ["normal", "neptune", "Satan.", "unheard_of", "anomaly", None]}
    assert unclear(tmp_path, NSL_KDD, **clear) is None
    assert truth(NSL_KDD, **{"class": written})[:5] == [False, True, True, True, True]
    named = names(NSL_KDD, **{"class": written})
    assert named == [None, "neptune", "satan", "unheard_of", None, None, None]


def test_the_attack_column_names_the_attack_before_the_label_column() -> None:
    columns = {"class": ["neptune", "satan", "normal"], "attack": ["smurf", "", "normal"]}
    assert names(NSL_KDD, **columns) == ["smurf", "satan", None]


def test_an_unknown_name_is_unclear_in_a_label_column_without_known_attacks(
    tmp_path: Path,
) -> None:
    told = unclear(tmp_path, NSL_KDD, **{"class": ["normal", "unheard_of", "anomaly"]})
    assert told is not None
    assert "class 'unheard_of' in 1 row. Expected" in told
    near = unclear(tmp_path, NSL_KDD, **{"class": ["normal", "neptune", "Normal", "benign", "0"]})
    assert near is not None
    assert near.startswith("unclear labels in 2 rows")


@pytest.mark.parametrize("word", ["attack", "Attack", "Anomaly", "malicious", "DoS", "r2l"])
def test_other_words_for_attack_and_families_are_clear_in_the_label_column(
    tmp_path: Path, word: str
) -> None:
    written: dict[str, list[str | None]] = {"class": ["normal", word]}
    assert unclear(tmp_path, NSL_KDD, **written) is None
    (_, named) = names(NSL_KDD, **written)
    assert named == (word if word in {"DoS", "r2l"} else None)
