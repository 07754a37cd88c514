"""An attack's family is named where the classifier is sure enough, and unknown elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.contract import Contract
from tasks.detectors.family import UNKNOWN, FamilyModel, probabilities
from tasks.detectors.model import load_model
from tasks.features.encoding import Encoder
from tasks.training import families
from tasks.training.families import NAMED_PRECISION, choose_least_probability, fit_families
from tasks.training.fit import FitSummary
from tasks.training.members import fit_encoder
from tasks.training.rows import TrainingRows, assign_folds, read_training_rows
from tests.support.sources import NSL_KDD

NAMES_ONLY = replace(NSL_KDD, labels=replace(NSL_KDD.labels, families=None, techniques=None))
"""A contract whose labels name attacks, without families."""

MakeConnections = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def rows(
    make_connections: MakeConnections, tmp_path_factory: pytest.TempPathFactory
) -> TrainingRows:
    part = tmp_path_factory.mktemp("rows") / "part.parquet"
    make_connections(600, seed=1).write_parquet(part)
    return read_training_rows([part], NSL_KDD)


@pytest.fixture(scope="module")
def encoder(rows: TrainingRows) -> Encoder:
    return fit_encoder(rows, np.ones(rows.count, dtype=np.bool_))


@pytest.fixture(scope="module")
def fitted(rows: TrainingRows, encoder: Encoder) -> FamilyModel:
    fold = assign_folds(rows, 2, seed=0)
    fitted = fit_families(rows, NSL_KDD, encoder, fold, seed=0, threads=1)
    assert fitted is not None
    model, metrics = fitted
    assert metrics.families == ("DoS", "Probe", "R2L")
    assert metrics.known_right is not None
    assert metrics.known_right >= NAMED_PRECISION
    assert metrics.novel_named is None, "a family of one name keeps it"
    return model


def test_other_attacks_of_a_family_are_named_after_it(
    fitted: FamilyModel, encoder: Encoder, make_connections: MakeConnections
) -> None:
    frame = make_connections(300, seed=2).filter(pl.col("class") == "anomaly")
    named = fitted.name(encoder.encode(frame).ordinal)
    is_named = named["attack_category"] != UNKNOWN
    assert is_named.mean() > 0.9
    right = [NSL_KDD.families[name] for name in frame["attack"]]
    assert (named["attack_category"] == pl.Series(right)).filter(is_named).all()
    assert named["category_probability"].is_between(1 / 3, 1).all()
    for family, technique in named.select("attack_category", "attack_technique").iter_rows():
        assert technique == NSL_KDD.techniques.get(family)


def test_the_name_of_a_row_does_not_depend_on_other_rows(
    fitted: FamilyModel, encoder: Encoder, make_connections: MakeConnections
) -> None:
    ordinal = encoder.encode(make_connections(50, seed=3)).ordinal
    together = fitted.name(ordinal)
    alone = pl.concat([fitted.name(ordinal[row : row + 1]) for row in range(50)])
    assert together.equals(alone)
    assert fitted.name(ordinal[:0]).height == 0


def test_equal_fits_write_equal_files_that_give_equal_names(
    fitted: FamilyModel, rows: TrainingRows, encoder: Encoder, tmp_path: Path
) -> None:
    fold = assign_folds(rows, 2, seed=0)
    again = fit_families(rows, NSL_KDD, encoder, fold, seed=0, threads=2)
    assert again is not None
    for name, model in (("a", fitted), ("b", again[0])):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
    for file in ("category.json", "category.txt"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    loaded = FamilyModel.load(tmp_path / "a")
    assert loaded is not None
    ordinal = encoder.encode(rows.features).ordinal
    assert loaded.name(ordinal).equals(fitted.name(ordinal))
    assert FamilyModel.load(tmp_path) is None


@pytest.mark.parametrize(
    ("contract", "keep"),
    [
        (NAMES_ONLY, ["normal", "neptune"]),
        (NSL_KDD, ["normal", "neptune"]),
    ],
    ids=["one name of a contract without families", "one family"],
)
def test_fewer_than_two_families_give_no_classifier(
    contract: Contract, keep: list[str], rows: TrainingRows, encoder: Encoder
) -> None:
    kept = np.isin(rows.attacks, keep)
    some = replace(
        rows,
        features=rows.features.filter(pl.Series(kept)),
        is_attack=rows.is_attack[kept],
        attacks=rows.attacks[kept],
        alike=np.arange(int(kept.sum())),
    )
    assert fit_families(some, contract, encoder, assign_folds(some, 2, 0), 0, 1) is None


@pytest.mark.parametrize("most", [2, 30])
def test_without_families_in_the_contract_each_name_with_enough_rows_is_one(
    rows: TrainingRows, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(families, "MAX_NAMES", most)
    assert rows.attacks is not None
    names, counts = np.unique(rows.attacks[rows.is_attack], return_counts=True)
    renamed = rows.attacks.astype(object)
    rare = np.flatnonzero(rows.is_attack)[: families.FAMILY_MIN_ROWS - 1]
    renamed[rare] = "rare"
    some = replace(rows, attacks=renamed.astype(np.str_), alike=np.arange(rows.count))
    fitted = fit_families(some, NAMES_ONLY, encoder, assign_folds(some, 2, 0), 0, 1)
    assert fitted is not None
    model, metrics = fitted
    assert metrics.families == model.card.families
    assert len(metrics.families) == min(most, len(names))
    assert set(metrics.families) <= set(names)
    assert metrics.novel_named is None
    named = model.name(encoder.encode(rows.features.filter(rows.is_attack)).ordinal)
    assert set(named["attack_category"]) <= {*metrics.families, UNKNOWN}
    assert set(named["attack_category"]) & set(names)
    assert named["attack_technique"].null_count() == named.height
    assert counts.min() >= families.FAMILY_MIN_ROWS


def test_a_model_names_the_families_it_was_fitted_on(
    tiny_fit: tuple[Path, FitSummary], make_connections: MakeConnections
) -> None:
    model = load_model(tiny_fit[0])
    assert model.family_model is not None
    named = model.name_families(make_connections(60, seed=8))
    assert set(named["attack_category"]) <= {"DoS", "Probe", "R2L", UNKNOWN}
    without = replace(model, family_model=None).name_families(make_connections(60, seed=8))
    assert without.null_count().row(0) == (60, 60, 60)


def test_the_least_probability_is_the_lowest_that_keeps_enough_names_right() -> None:
    highest = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    even = np.full(5, 0.2)
    everything = np.ones(5, dtype=np.bool_)
    assert choose_least_probability(highest, everything, even) == 0.5
    assert choose_least_probability(highest, np.array([True, True, False, True, True]), even) == 0.8
    assert choose_least_probability(highest, ~everything, even) > 1
    heavy = np.array([0.96, 0.01, 0.01, 0.01, 0.01])
    assert (
        choose_least_probability(highest, np.array([True, True, True, False, True]), heavy) == 0.5
    )


def test_a_high_temperature_lowers_certainty_and_changes_no_order() -> None:
    raw = np.array([[2.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    sure, unsure = probabilities(raw, 1.0), probabilities(raw, 5.0)
    assert sure.sum(axis=1) == pytest.approx(1)
    assert sure[0].tolist() == pytest.approx((np.exp(raw[0]) / np.exp(raw[0]).sum()).tolist())
    assert (unsure[0].argmax(), unsure[0].max() < sure[0].max()) == (0, True)
    assert sure[1].tolist() == pytest.approx([1 / 3] * 3)


def test_every_family_that_has_a_technique_is_declared() -> None:
    assert set(NSL_KDD.techniques) <= set(NSL_KDD.families.values())
