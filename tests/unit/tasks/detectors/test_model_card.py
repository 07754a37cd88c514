"""A model scores only connections of the contract, and of the features, it was fitted on."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from expectations.contract import Contract
from expectations.errors import ModelRefusedError
from tasks.detectors.model_card import TRAINING_FILE, require_contract
from tests.support.sources import NSL_KDD


def change(name: str, **changes: object) -> Contract:
    """Return the contract with one column changed."""
    columns = (
        dataclasses.replace(column, **changes) if column.name == name else column  # type: ignore[arg-type]
        for column in NSL_KDD.columns
    )
    return dataclasses.replace(NSL_KDD, columns=tuple(columns))


@pytest.fixture
def earlier(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """Return a model that an earlier version stored, without the fingerprint of its features."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    training = json.loads((folder / TRAINING_FILE).read_text())
    del training["feature_fingerprint"]
    (folder / TRAINING_FILE).write_text(json.dumps(training))
    return folder


def test_a_model_fits_the_contract_it_was_trained_on(
    tiny_model_folder: Path, earlier: Path
) -> None:
    reworded = dataclasses.replace(change("src_bytes", meaning="Other words."), title="Other")
    for contract in (NSL_KDD, reworded):
        require_contract(tiny_model_folder, contract)
        require_contract(earlier, contract)


def test_a_model_of_another_contract_is_refused(tiny_model_folder: Path) -> None:
    other = dataclasses.replace(NSL_KDD, name="argus")
    with pytest.raises(
        ModelRefusedError, match=r"of contract argus .* trained on contract nsl_kdd"
    ):
        require_contract(tiny_model_folder, other)


def test_a_model_is_refused_if_a_feature_is_another_number_now(
    tiny_model_folder: Path, earlier: Path
) -> None:
    scaled = change("duration", scale=0.001)
    with pytest.raises(ModelRefusedError, match=r"have changed .*the unit, kind"):
        require_contract(tiny_model_folder, scaled)
    require_contract(earlier, scaled)  # it does not say what it was fitted on


@pytest.mark.parametrize(
    ("contract", "named"),
    [
        (change("duration", role="ignored"), r"\(duration\)"),
        (change("duration", kind="category", minimum=None), r"\(duration\)"),
    ],
)
def test_a_model_without_a_fingerprint_is_known_by_its_features(
    earlier: Path, tiny_model_folder: Path, contract: Contract, named: str
) -> None:
    for folder in (earlier, tiny_model_folder):
        with pytest.raises(ModelRefusedError, match=named):
            require_contract(folder, contract)
