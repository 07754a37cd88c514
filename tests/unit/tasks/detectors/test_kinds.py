"""Every kind of detector scores rows independently, explains scores, and survives storage."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from expectations.errors import ModelRefusedError, UsageError
from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.autoencoder import AutoencoderOptions, fit_autoencoder
from tasks.detectors.base import Detector, log_odds, occlude, probability
from tasks.detectors.clustering import (
    estimate_near_pairs,
    find_clusters,
    find_outliers,
    require_memory,
)
from tasks.detectors.gradient_boosting import LightGBMOptions, make_outliers
from tasks.detectors.names import CLASSIFIER_NAMES, ONE_CLASS_NAMES
from tasks.detectors.registry import (
    CLASSIFIERS,
    ONE_CLASS,
    fit_classifier,
    fit_one_class,
    load_detector,
)

KINDS = (*CLASSIFIER_NAMES, *ONE_CLASS_NAMES)

MEMBERS = {
    "forest": {"trees": 10},
    "lightgbm": {"trees": 20, "leaves": 7},
    "boosting": {"trees": 10},
}

QUICK: dict[str, dict[str, Any]] = {
    "lightgbm": {"trees": 20, "leaves": 7},
    "random_forest": {"trees": 10},
    "hist_gradient_boosting": {"trees": 10},
    "adaboost": {"stumps": 5},
    "neural_network": {"epochs": 30, "batch_rows": 32},
    "autoencoder": {"layers": (16, 6), "epochs": 80, "batch_rows": 32, "patience": 40},
    "voting": MEMBERS,
    "stacking": MEMBERS,
    "gaussian_mixture": {"components": 2},
    "isolation_forest": {"trees": 40},
}

ALTERED = 5
"""The input that is far off in an anomaly."""

GROUPS = np.array([0, 1, 2, 3, 4, 5, 6, 6])


def make_rows() -> tuple[Matrix, Mask]:
    """Make 400 rows that hang together in pairs, of which a quarter is far off in one input."""
    random = np.random.default_rng(1)
    first = random.normal(size=(400, 4))
    rows = np.hstack([first, first * 0.5 + random.normal(size=(400, 4)) * 0.1])
    is_attack = np.arange(400) % 4 == 3
    rows[is_attack, ALTERED] += 4.0
    return rows.astype(np.float32), is_attack


ROWS, IS_ATTACK = make_rows()
TYPICAL = np.zeros((1, 8), dtype=np.float32)


def fit(kind: str, threads: int = 1) -> Detector:
    if kind in CLASSIFIERS:
        options = CLASSIFIERS[kind].options(**QUICK.get(kind, {}))
        return fit_classifier(options, ROWS, IS_ATTACK, 7, threads)  # type: ignore[arg-type]
    options = ONE_CLASS[kind].options(**QUICK.get(kind, {}))
    return fit_one_class(options, ROWS[~IS_ATTACK], 7, threads)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=KINDS)
def detector(request: pytest.FixtureRequest) -> Detector:
    return fit(request.param)


def test_names_and_kinds_correspond() -> None:
    assert set(CLASSIFIERS) == set(CLASSIFIER_NAMES)
    assert set(ONE_CLASS) == set(ONE_CLASS_NAMES)
    for name, kind in {**CLASSIFIERS, **ONE_CLASS}.items():
        assert kind.options.model_fields["kind"].default == name
        assert get_args(kind.options.model_fields["kind"].annotation) == (name,)


def test_anomalies_score_higher(detector: Detector) -> None:
    scores = detector.anomaly_scores(ROWS)
    assert scores.dtype == np.float64
    assert scores.shape == (400,)
    above = (scores[IS_ATTACK][:, np.newaxis] > scores[~IS_ATTACK]).mean()
    assert above > {"bernoulli_naive_bayes": 0.7, "isolation_forest": 0.8}.get(detector.kind, 0.9)


@pytest.mark.parametrize("size", [1, 3, 16, 399])
def test_a_score_depends_on_its_row_alone(detector: Detector, size: int) -> None:
    whole = detector.anomaly_scores(ROWS)
    parts = [detector.anomaly_scores(ROWS[at : at + size]) for at in range(0, 40 * size, size)]
    assert np.concatenate(parts).tobytes() == whole[: 40 * size].tobytes()


def test_no_rows_have_no_scores(detector: Detector) -> None:
    assert detector.anomaly_scores(ROWS[:0]).shape == (0,)
    assert detector.explain(ROWS[:0], TYPICAL, GROUPS).shape == (0, 7)


def test_a_stored_detector_scores_and_explains_the_same(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path, "classifier")
    assert all(path.name.startswith("classifier") for path in tmp_path.iterdir())
    for threads in (1, 2):
        loaded = load_detector(detector.kind, tmp_path, "classifier", threads)
        assert loaded.kind == detector.kind
        assert loaded.anomaly_scores(ROWS).tobytes() == detector.anomaly_scores(ROWS).tobytes()
        np.testing.assert_array_equal(
            loaded.explain(ROWS[:9], TYPICAL, GROUPS), detector.explain(ROWS[:9], TYPICAL, GROUPS)
        )


def test_the_same_rows_and_seed_give_the_same_files(detector: Detector, tmp_path: Path) -> None:
    files = []
    for name, one in (("first", detector), ("again", fit(detector.kind, threads=2))):
        (tmp_path / name).mkdir()
        one.save(tmp_path / name, "x")
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert files[0] == files[1]


def test_a_loaded_detector_is_saved_byte_for_byte(detector: Detector, tmp_path: Path) -> None:
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
    detector.save(tmp_path / "first", "x")
    load_detector(detector.kind, tmp_path / "first", "x").save(tmp_path / "again", "x")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_files_hold_no_code(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path, "x")
    for path in tmp_path.iterdir():
        assert path.suffix in {".txt", ".json", ".onnx", ".skops"}
        if path.suffix == ".skops":
            with zipfile.ZipFile(path) as file:
                assert {Path(name).suffix for name in file.namelist()} <= {".npy", ".json"}
                assert b"PickleNode" not in file.read("schema.json")
                for name in file.namelist():
                    assert b"O'" not in file.read(name)[:128], "an array of objects is pickled"


def test_the_explanation_names_the_altered_input(detector: Detector) -> None:
    weights = detector.explain(ROWS[IS_ATTACK], TYPICAL, GROUPS)
    assert weights.shape == (100, 7)
    # It hangs together with input 1: a detector may hold the one against the row or the other.
    best = weights.argmax(axis=1)
    assert np.isin(best, [1, ALTERED]).mean() > 0.8
    assert (best == ALTERED).mean() > 0.4


def test_the_network_as_described_finds_anomalies_and_survives_storage(tmp_path: Path) -> None:
    options = AutoencoderOptions(recipe="as_described", layers=(16, 6), epochs=3, batch_rows=32)
    fitted = fit_autoencoder(ROWS[~IS_ATTACK], options, 7)
    rebuilt = fitted.graph.run(ROWS)
    assert ((rebuilt >= 0) & (rebuilt <= 1)).all(), "a sigmoid's output"
    network = fitted.network
    assert network is not None
    np.testing.assert_allclose(rebuilt, network.predict(ROWS, verbose=0), atol=1e-5)
    assert [layer.rate for layer in network.layers if "dropout" in layer.name] == [0.2, 0.2]
    whole = fitted.anomaly_scores(ROWS)
    parts = [fitted.anomaly_scores(ROWS[at : at + 7]) for at in range(0, 400, 7)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert all(epoch["loss"] is not None for epoch in fitted.history)


# Files that were altered


def replace_in(path: Path, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    assert any(old in data for data in content.values())
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"DecisionTreeClassifier"', b'"ExtraTreeClassifier"', "got ExtraTreeClassifier"),
        (b'"sklearn.tree._tree"', b'"os"', "it holds os.Tree"),
    ],
)
def test_a_file_of_another_type_is_refused(
    tmp_path: Path, old: bytes, new: bytes, words: str
) -> None:
    fit("decision_tree").save(tmp_path, "x")
    replace_in(tmp_path / "x.skops", old, new)
    with pytest.raises(ModelRefusedError, match=words):
        load_detector("decision_tree", tmp_path, "x")


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match="'oracle': this version of Noctule knows adaboost"):
        load_detector("oracle", tmp_path, "x")


# What is shared


def test_log_odds_are_finite_and_the_inverse_of_probabilities() -> None:
    odds = log_odds(np.array([0.0, 0.25, 0.5, 1.0]))
    assert np.isfinite(odds).all()
    np.testing.assert_allclose(odds[1:3], [-np.log(3), 0.0], atol=1e-12)
    np.testing.assert_allclose(probability(odds), [1e-9, 0.25, 0.5, 1.0], atol=1e-8)


def test_occlusion_is_the_fall_of_the_score() -> None:
    def score(rows: Matrix) -> Floats:
        return (rows[:, 0] * 2.0 + rows[:, 1] * rows[:, 2]).astype(np.float64)

    rows = np.array([[1, 2, 3], [0, 0, 5]], dtype=np.float32)
    typical = np.zeros((1, 3), dtype=np.float32)
    falls = occlude(score, rows, typical, np.array([0, 1, 1]))
    assert falls.tolist() == [[2.0, 6.0], [0.0, 0.0]]


# For study only


@pytest.mark.parametrize("find", [find_outliers, find_clusters])
def test_clustering_labels_the_rows_it_is_given(find: Callable[[Matrix], Any]) -> None:
    random = np.random.default_rng(0)
    rows = np.vstack([random.normal(scale=0.05, size=(200, 3)), [[5, 5, 5]]]).astype(np.float32)
    found = find(rows)
    assert found.shape == (201,)
    assert found[-1] in {True, -1}
    assert (found[:-1] == found[0]).mean() > 0.8


def test_clustering_refuses_rows_whose_pairs_do_not_fit() -> None:
    require_memory(20_000, 1.0, memory_bytes=24_000_000_000)
    words = (
        r"Cannot run DBSCAN on 1,000,000 rows: it keeps every pair of near rows, 4% of all, and "
        r"would take about 1,200 GB; this machine has 24 GB\. Give at most 100,000 rows\."
    )
    with pytest.raises(UsageError, match=words):
        require_memory(1_000_000, 0.04, memory_bytes=24_000_000_000)


def test_near_pairs_are_counted_on_a_sample() -> None:
    rows = np.repeat(np.array([[0.0, 0.0], [3.0, 3.0]], dtype=np.float32), [300, 100], axis=0)
    assert estimate_near_pairs(rows) == pytest.approx(0.75**2 + 0.25**2, abs=0.05)
    assert estimate_near_pairs(rows[:0]) == 0


def test_outliers_refuse_rows_that_would_take_hours() -> None:
    with pytest.raises(UsageError, match=r"on 200,001 rows: .* would take hours"):
        find_outliers(np.zeros((200_001, 1), dtype=np.float32))


def test_made_up_attacks_combine_values_of_two_rows() -> None:
    normal = np.column_stack([np.arange(500.0)] * 8).astype(np.float32)
    made = make_outliers(normal, 0.5, seed=3)
    assert made.shape == (250, 8)
    assert np.isin(made, normal).all()
    kinds = [len(set(row)) for row in made]
    assert set(kinds) == {1, 2}, "of two rows at most"
    assert kinds.count(2) > 150
    swapped = (made != np.array([[np.median(row)] for row in made])).mean()
    assert 0.1 < swapped < 0.4
    assert (make_outliers(normal, 0.5, seed=3) == made).all()
    assert make_outliers(normal, 0.0, seed=3).shape == (0, 8)


def test_trees_with_made_up_attacks_score_unusual_combinations_higher() -> None:
    random = np.random.default_rng(2)
    first = random.normal(size=(2_000, 1))
    normal = np.hstack(
        [first, first + random.normal(0, 0.1, (2_000, 1)), random.normal(size=(2_000, 1))]
    )
    attack = normal[:200] + np.array([0, 0, 9])
    inputs = np.vstack([normal, attack]).astype(np.float32)
    is_attack = np.arange(len(inputs)) >= 2_000
    strange = np.array([[1.5, -1.5, 0.0]], dtype=np.float32)  # each value is ordinary
    odds = {
        outliers: fit_classifier(
            LightGBMOptions(trees=40, outliers=outliers), inputs, is_attack, seed=1
        ).anomaly_scores(np.vstack([strange, inputs[:500]]))
        for outliers in (0.0, 0.5)
    }
    rank = {outliers: (scores[1:] < scores[0]).mean() for outliers, scores in odds.items()}
    assert rank[0.5] > 0.97
    assert rank[0.0] < 0.97
