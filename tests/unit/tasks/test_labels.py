import polars as pl

from expectations.contract import Contract
from tasks.labels import has_labels, is_attack

LABELLED = Contract(name="small", title="", source="", columns=(), label="class", attack="attack")
FRAME = pl.DataFrame(
    {
        "class": ["normal", "anomaly", "unheard of", None],
        "attack": ["neptune", "normal", "satan", None],
    }
)


def test_whatever_is_not_the_normal_label_is_an_attack_and_no_label_is_neither() -> None:
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
