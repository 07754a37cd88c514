"""Every kind of detector can be fitted, stored and explained on columns that no notebook has.

Nulls, constants, numbers beyond float32, columns without any value, one column alone.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from expectations.contract import Column, Kind
from tasks.detectors.member import Member
from tasks.detectors.names import CLASSIFIER_NAMES, ONE_CLASS_NAMES
from tasks.features.names import SELECTIONS, SelectionName
from tasks.training.members import fit_encoder, fit_supervised, fit_unsupervised
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows

ROWS = 60
IS_ATTACK = np.arange(ROWS) % 3 == 2
MEMBERS = {"forest": {"trees": 3}, "lightgbm": {"trees": 3}, "boosting": {"trees": 3}}
QUICK: dict[str, dict[str, Any]] = {
    "lightgbm": {"trees": 3, "outliers": 0.5},
    "random_forest": {"trees": 3},
    "hist_gradient_boosting": {"trees": 3},
    "adaboost": {"stumps": 2},
    "neural_network": {"epochs": 1, "layers": (4,)},
    "autoencoder": {"layers": (4, 2), "epochs": 1},
    "voting": MEMBERS,
    "stacking": MEMBERS,
    "gaussian_mixture": {"components": 2},
    "isolation_forest": {"trees": 3},
}


def cycle(*values: object) -> list[object]:
    return [values[row % len(values)] for row in range(ROWS)]


VALUES: dict[str, tuple[Kind, list[object]]] = {
    "duration_s": ("interval", cycle(None, 0.5, 4_294_967.295, 0.0, None)),
    "constant": ("count", cycle(7)),
    "huge": ("number", cycle(1e308, -1e308, 1.7976931348623157e308, 0.0)),
    "counter": ("count", cycle(2**63 - 1, -(2**63), 0, 1)),
    "no_number": ("number", cycle(None)),
    "no_name": ("category", cycle(None)),
    "service": ("category", cycle("http", None, "dns", "http")),
    "attacked": ("number", [float(is_attack) for is_attack in IS_ATTACK]),
}
"""Each odd column: its kind and its values."""

CHOICES: dict[str, tuple[str, ...]] = {
    "all": tuple(VALUES),
    "names": ("no_name", "service"),
    "nothing": ("no_number",),
    "numbers": ("duration_s", "huge", "counter", "attacked"),
    "one number": ("duration_s",),
    "one name": ("service",),
    "one constant": ("constant",),
}


NETWORKS = frozenset({"neural_network", "autoencoder"})


def pair(kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Return each kind with each choice; networks, which compile for each, with the first three."""
    return [
        (kind, choice)
        for kind in kinds
        for choice in list(CHOICES)[: 3 if kind in NETWORKS else None]
    ]


def make_rows(choice: str) -> TrainingRows:
    names = CHOICES[choice]
    columns = tuple(
        Column(name=name, kind=VALUES[name][0], meaning="Odd.", nullable=True) for name in names
    )
    features = pl.DataFrame(
        {name: VALUES[name][1] for name in names},
        schema={column.name: column.dtype for column in columns},
    )
    return TrainingRows(
        features=features,
        columns=columns,
        is_attack=IS_ATTACK,
        attacks=None,
        alike=np.arange(ROWS),
        rows_unlabelled=0,
    )


def require_sound(member: Member, rows: TrainingRows, folder: Path) -> None:
    """Check scores and reasons, and that the stored member gives the same."""
    encoded = member.encoder.encode(rows.features)
    scores = member.score(encoded)
    assert np.isfinite(scores).all()
    found = member.attribute(encoded)
    assert np.isfinite(found.shares).all()
    assert found.shares.shape == (ROWS, len(rows.columns))
    for name, value in zip(member.encoder.features, found.expected[0], strict=True):
        assert member.encoder.render(name, value)
    card = member.save(folder)
    again = Member.load(folder, member.name, card, member.encoder, member.typical)
    assert again.score(encoded).tobytes() == scores.tobytes()


@pytest.mark.parametrize(("kind", "choice"), pair(CLASSIFIER_NAMES))
def test_any_classifier_reads_any_columns(kind: str, choice: str, tmp_path: Path) -> None:
    rows = make_rows(choice)
    options = TrainingOptions.model_validate({"classifier": {"kind": kind, **QUICK.get(kind, {})}})
    member = fit_supervised(rows, np.ones(ROWS, dtype=np.bool_), options)
    require_sound(member, rows, tmp_path)


@pytest.mark.parametrize(("kind", "choice"), pair(ONE_CLASS_NAMES))
def test_any_one_class_detector_reads_any_columns(kind: str, choice: str, tmp_path: Path) -> None:
    rows = make_rows(choice)
    everything = np.ones(ROWS, dtype=np.bool_)
    options = TrainingOptions.model_validate({"one_class": {"kind": kind, **QUICK.get(kind, {})}})
    member = fit_unsupervised(rows, everything, fit_encoder(rows, everything), options)
    require_sound(member, rows, tmp_path)


@pytest.mark.parametrize(
    ("selection", "choice"), pair(name for name in SELECTIONS if name != "none")
)
def test_any_selection_reads_any_columns(
    selection: SelectionName, choice: str, tmp_path: Path
) -> None:
    rows = make_rows(choice)
    options = TrainingOptions.model_validate(
        {"classifier": {"kind": "lightgbm", "trees": 3}, "selection": selection}
    )
    member = fit_supervised(rows, np.ones(ROWS, dtype=np.bool_), options)
    require_sound(member, rows, tmp_path)


@pytest.mark.parametrize("kind", [*CLASSIFIER_NAMES, *ONE_CLASS_NAMES])
def test_a_value_may_be_missing_that_no_training_row_lacked(kind: str) -> None:
    rows = make_rows("numbers")
    filled = rows.features.with_columns(pl.col("duration_s").fill_null(1.0))
    complete = dataclasses.replace(rows, features=filled)
    everything = np.ones(ROWS, dtype=np.bool_)
    part = "classifier" if kind in CLASSIFIER_NAMES else "one_class"
    options = TrainingOptions.model_validate({part: {"kind": kind, **QUICK.get(kind, {})}})
    member = (
        fit_supervised(complete, everything, options)
        if kind in CLASSIFIER_NAMES
        else fit_unsupervised(complete, everything, fit_encoder(complete, everything), options)
    )
    assert np.isfinite(member.score(member.encoder.encode(rows.features))).all()
