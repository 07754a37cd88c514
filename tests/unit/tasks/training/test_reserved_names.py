"""Features may have any name, also those that our own frames use, and any of them may be null."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.contract import Contract, Labels
from tasks.detectors.names import CLASSIFIER_NAMES, ONE_CLASS_NAMES
from tasks.detectors.registry import CLASSIFIERS, ONE_CLASS
from tasks.drift.measure import DriftOptions, measure_drift
from tasks.evaluation.evaluate import evaluate_batch
from tasks.evaluation.metrics import roc_auc
from tasks.features.names import SELECTIONS
from tasks.scoring.explain import ExplainOptions, explain_batch
from tasks.scoring.score import ScoreOptions, score_batch
from tasks.training.fit import FitSummary, fit_model
from tasks.training.members import fit_supervised, fit_unsupervised
from tasks.training.options import TrainingOptions
from tasks.training.rows import assign_folds, read_training_rows
from tasks.validation.summary import PartFile
from tests.support.sources import column, contract

NUMBERS = (
    "attack", "is_attack", "row", "rows", "value", "count", "index", "weight", "score", "len",
    "fold", "is_seen", "feature", "attacks", "key", "literal",
)  # fmt: skip
TEXTS = ("class", "label", "group", "kind", "name", "family")
ROWS = 400

OTHER_CLASSIFIERS = [one for one in CLASSIFIER_NAMES if one != "lightgbm"]
OTHER_ONE_CLASS = [one for one in ONE_CLASS_NAMES if one != "autoencoder"]
OTHER_SELECTIONS = [one for one in SELECTIONS if one != "none"]
"""Those that the model of the first test does not have."""

ODD = contract(
    "odd",
    *(column(name, "number", nullable=True) for name in NUMBERS),
    *(column(name, "category", nullable=True) for name in TEXTS),
    column("verdict", "category", role="label"),
    column("verdict_name", "category", role="label"),
    labels=Labels(
        column="verdict",
        normal=("ok",),
        names="verdict_name",
        families={"flood": "DoS", "sweep": "Probe"},
    ),
)


def make_rows(seed: int) -> pl.DataFrame:
    """Make rows of which half are attacks, with a null in every tenth value of each feature."""
    random = np.random.default_rng(seed)
    attack = np.array(["", "flood", "", "sweep"])[np.arange(ROWS) % 4]
    numbers = {name: random.normal(size=ROWS) + 3 * (attack == "flood") for name in NUMBERS}
    texts = {
        name: np.where(attack == "sweep", "b", random.choice(["a", "c"], ROWS)) for name in TEXTS
    }
    features = pl.DataFrame(numbers | texts).with_columns(
        pl.when(pl.Series(random.random(ROWS) > 0.1)).then(name).alias(name)
        for name in (*NUMBERS, *TEXTS)
    )
    number = pl.int_range(1, ROWS + 1, dtype=pl.Int64)
    return features.with_columns(
        row_number=number,
        line_number=number + 1,
        verdict=pl.Series(np.where(attack == "", "ok", "bad")),
        verdict_name=pl.Series(attack),
    ).select("row_number", "line_number", *ODD.schema)


@pytest.fixture(scope="module")
def odd_contract() -> Iterator[Contract]:
    """Register the contract for the stages that look it up by its name."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("tasks.scoring.explain", "tasks.scoring.score"):
            patch.setattr(f"{module}.get_contract", {"odd": ODD}.__getitem__, raising=False)
        yield ODD


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    part = tmp_path_factory.mktemp("odd") / "part.parquet"
    make_rows(1).write_parquet(part)
    return part


@pytest.fixture(scope="module")
def fitted(
    tmp_path_factory: pytest.TempPathFactory, part: Path, tiny_options: TrainingOptions
) -> tuple[Path, FitSummary]:
    folder = tmp_path_factory.mktemp("odd_model")
    return folder, fit_model([part], ODD, folder, tiny_options)


def test_a_model_is_trained_scores_explains_and_drifts(
    fitted: tuple[Path, FitSummary], odd_contract: Contract, tmp_path: Path
) -> None:
    model, fit = fitted
    assert fit.classes == {"normal": ROWS // 2, "attack": ROWS // 2}
    assert set(fit.metrics.unknown) == {"DoS", "Probe"}
    assert fit.metrics.known is not None
    assert fit.metrics.known.best_feature is not None
    make_rows(2).write_parquet(tmp_path / "part.parquet")
    parts = [PartFile(path="part.parquet", rows=ROWS)]
    for stage in ("score", "explain", "drift"):
        (tmp_path / stage).mkdir()
    scored = score_batch(tmp_path, parts, model, tmp_path / "score", ScoreOptions())
    assert scored.rows_scored == ROWS
    evaluated = evaluate_batch(tmp_path, parts, scored.parts, model, odd_contract)
    assert evaluated.roc_auc is not None
    assert evaluated.roc_auc > 0.9
    explained = explain_batch(
        tmp_path, parts, scored.parts, model, tmp_path / "explain", ExplainOptions()
    )
    assert explained.rows_explained > 0
    drift = measure_drift(tmp_path, parts, scored.parts, model, tmp_path / "drift", DriftOptions())
    assert drift.rows_current == ROWS


@pytest.mark.parametrize(
    "chosen",
    [
        *({"classifier": CLASSIFIERS[name].options()} for name in OTHER_CLASSIFIERS),
        *({"one_class": ONE_CLASS[name].options()} for name in OTHER_ONE_CLASS),
        *({"selection": name} for name in OTHER_SELECTIONS),
    ],
    ids=[*OTHER_CLASSIFIERS, *OTHER_ONE_CLASS, *OTHER_SELECTIONS],
)
def test_every_detector_and_selection_reads_rows_with_nulls(
    chosen: dict[str, object], part: Path, tiny_options: TrainingOptions
) -> None:
    rows = read_training_rows([part], ODD)
    every = np.ones(rows.count, dtype=np.bool_)
    options = tiny_options.model_copy(update=chosen)
    member = fit_supervised(rows, every, options)
    if "one_class" in chosen:
        member = fit_unsupervised(rows, every, member.encoder, options)
    scores = member.score(member.encoder.encode(rows.features))
    assert np.isfinite(scores).all()
    assert (roc_auc(rows.is_attack, scores) or 0) > 0.7


def test_copies_of_a_row_with_nulls_are_alike(tmp_path: Path) -> None:
    rows = make_rows(3)
    pl.concat([rows, rows.head(60)]).write_parquet(tmp_path / "part.parquet")
    read = read_training_rows([tmp_path / "part.parquet"], ODD)
    assert read.count_duplicates() == 60
    fold = assign_folds(read, 4, seed=0)
    assert (fold[:60] == fold[ROWS:]).all()
