"""Scores do not depend on chunks, and a model loads without the libraries that trained it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.errors import ModelRefusedError
from tasks.detectors.autoencoder import CONFIG_FILE, WEIGHTS_FILE, Autoencoder
from tasks.detectors.base import write_json
from tasks.detectors.model import ROWS_AT_ONCE, Model, hash_model, load_model
from tasks.detectors.model_card import read_card
from tasks.networks.training import import_keras
from tasks.scoring.explain import explain_rows

SCORES = [
    "classifier_score",
    "one_class_score",
    "classifier_tail",
    "one_class_tail",
    "anomaly_score",
]

SERVING_TOLERANCE = 1e-6
"""Of the served reconstruction against Keras, in scales of a column."""


@pytest.fixture(scope="module")
def frame(make_connections: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    return make_connections(60, seed=9)


def autoencoder_of(model: Model) -> Autoencoder:
    detector = model.members[1].detector
    assert isinstance(detector, Autoencoder)
    return detector


def test_scores_are_five_columns_of_float64(tiny_model: Model, frame: pl.DataFrame) -> None:
    scores = tiny_model.score(frame)
    assert scores.columns == SCORES
    assert set(scores.dtypes) == {pl.Float64}
    assert scores.height == frame.height


def test_the_anomaly_score_is_the_sum_of_the_tails(tiny_model: Model, frame: pl.DataFrame) -> None:
    scores = tiny_model.score(frame)
    sums = scores["classifier_tail"] + scores["one_class_tail"]
    assert scores["anomaly_score"].to_list() == sums.to_list()


@pytest.mark.parametrize("rows", [1, 2, 7, 16, 59])
def test_scores_are_bitwise_equal_however_rows_are_chunked(
    tiny_model: Model, frame: pl.DataFrame, rows: int
) -> None:
    whole = tiny_model.score(frame)
    chunks = [tiny_model.score(frame[first : first + rows]) for first in range(0, 60, rows)]
    for name in SCORES:
        assert pl.concat(chunks)[name].to_numpy().tobytes() == whole[name].to_numpy().tobytes()


def test_scores_do_not_depend_on_the_rows_encoded_at_once(
    tiny_model: Model, frame: pl.DataFrame
) -> None:
    many = pl.concat([frame] * (ROWS_AT_ONCE // frame.height + 1))
    tail = tiny_model.score(many)[-frame.height :]
    assert tail.equals(tiny_model.score(frame))


def test_threads_change_no_score(
    tiny_model: Model, tiny_model_folder: Path, frame: pl.DataFrame
) -> None:
    assert load_model(tiny_model_folder, threads=2).score(frame).equals(tiny_model.score(frame))


def test_no_rows_have_no_scores(tiny_model: Model, frame: pl.DataFrame) -> None:
    assert tiny_model.score(frame.clear()).schema == tiny_model.score(frame).schema
    assert tiny_model.score(frame.clear()).height == 0


def test_the_served_graph_equals_the_stored_keras_network(
    tiny_model: Model, tiny_model_folder: Path, frame: pl.DataFrame
) -> None:
    neural = tiny_model.encoder.encode(frame).neural
    stored = (tiny_model_folder / CONFIG_FILE).read_text()
    network = import_keras().models.model_from_json(stored)
    network.load_weights(tiny_model_folder / WEIGHTS_FILE)
    by_keras = network.predict(neural, verbose=0)
    served = autoencoder_of(tiny_model).graph.run(neural)
    np.testing.assert_allclose(served, by_keras, rtol=0, atol=SERVING_TOLERANCE)


def test_the_one_class_score_is_the_mean_squared_error(
    tiny_model: Model, frame: pl.DataFrame
) -> None:
    encoded = tiny_model.encoder.encode(frame)
    autoencoder = autoencoder_of(tiny_model)
    rebuilt = autoencoder.graph.run(encoded.neural)
    slowly = [
        sum((a - b) ** 2 for a, b in zip(row, again, strict=True)) / len(row)
        for row, again in zip(encoded.neural.tolist(), rebuilt.tolist(), strict=True)
    ]
    np.testing.assert_allclose(autoencoder.anomaly_scores(encoded.neural), slowly, rtol=1e-5)


def test_attributions_are_shares_of_source_features(tiny_model: Model, frame: pl.DataFrame) -> None:
    encoded = tiny_model.encoder.encode(frame)
    for member in tiny_model.members:
        attribution = member.attribute(encoded)
        assert attribution.shares.shape == (60, len(tiny_model.features))
        assert (attribution.shares >= 0).all()
        total = attribution.shares.sum(axis=1)
        np.testing.assert_allclose(total[total > 0], 1.0)
        assert (total > 0).mean() > 0.5
        assert attribution.expected.shape == attribution.shares.shape


def test_the_classifier_expects_the_median_and_the_commonest_name(
    tiny_model: Model, training_part: Path, frame: pl.DataFrame
) -> None:
    normal = pl.read_parquet(training_part).filter(pl.col("attack") == "normal")
    expected = tiny_model.members[0].attribute(tiny_model.encoder.encode(frame)).expected[0]
    features = tiny_model.features
    assert expected[features.index("src_bytes")] == normal["src_bytes"].median()
    code = expected[features.index("service")]
    assert tiny_model.encoder.render("service", code) == normal["service"].mode()[0]


def test_loading_and_scoring_need_no_training_library(
    tiny_model_folder: Path, tmp_path: Path, frame: pl.DataFrame
) -> None:
    frame.write_parquet(tmp_path / "rows.parquet")
    # LightGBM imports scikit-learn and pandas by itself where it finds them: kept from it here, so
    # that any import left would be ours.
    program = (
        "import sys\n"
        "for name in ('keras', 'jax', 'sklearn', 'pandas', 'onnx'):\n"
        "    sys.modules[name] = None\n"
        "import polars as pl\n"
        "from pathlib import Path\n"
        "from tasks.detectors.model import load_model\n"
        "from tasks.scoring.explain import explain_rows\n"
        f"model = load_model(Path({str(tiny_model_folder)!r}))\n"
        f"rows = pl.read_parquet({str(tmp_path / 'rows.parquet')!r})\n"
        "print(explain_rows(rows.hstack(model.score(rows)), model, 5).height)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_the_hash_covers_the_content_alone(
    tiny_model: Model,
    tiny_model_folder: Path,
    tmp_path: Path,
) -> None:
    tiny_model.save(tmp_path)
    assert hash_model(tmp_path) == hash_model(tiny_model_folder)
    card = json.loads((tmp_path / "model.json").read_text())
    card["thresholds"]["default"] += 1.0
    (tmp_path / "model.json").write_text(json.dumps(card))
    assert hash_model(tmp_path) != hash_model(tiny_model_folder)


@pytest.mark.parametrize("name", ["model.json", "tails.json", "classifier.txt", "one_class.onnx"])
def test_a_folder_that_lacks_a_file_is_refused(
    tiny_model: Model, tmp_path: Path, name: str
) -> None:
    tiny_model.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelRefusedError, match=name):
        load_model(tmp_path)


def test_a_folder_without_a_model_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match=r"model\.json is missing"):
        hash_model(tmp_path)


@pytest.mark.parametrize("name", ["encoder.json", "classifier.txt", "one_class.onnx"])
def test_a_folder_with_an_unreadable_file_is_refused(
    tiny_model: Model, tmp_path: Path, name: str
) -> None:
    tiny_model.save(tmp_path)
    (tmp_path / name).write_bytes(b"something else\n")
    with pytest.raises(ModelRefusedError, match="Cannot load the model"):
        load_model(tmp_path)


def test_a_model_of_the_first_format_scores_and_explains_as_it_did(
    tiny_model: Model, tmp_path: Path, frame: pl.DataFrame
) -> None:
    tiny_model.save(tmp_path)
    (tmp_path / "one_class.onnx").rename(tmp_path / "autoencoder.onnx")
    tails = json.loads((tmp_path / "tails.json").read_text())
    write_json(tmp_path / "tails.json", tails | {"autoencoder": tails.pop("one_class")})
    card = json.loads((tmp_path / "model.json").read_text())
    kept = {name: card[name] for name in ("contract", "thresholds")}
    write_json(tmp_path / "model.json", kept | {"format": 1})
    typical = tiny_model.members[0].typical.ordinal[0].tolist()
    write_json(tmp_path / "classifier.json", {"selection": None, "typical": typical})
    loaded = load_model(tmp_path)
    scores = tiny_model.score(frame)
    assert loaded.score(frame).equals(scores)
    rows = frame.hstack(scores)
    assert explain_rows(rows, loaded, 3).equals(explain_rows(rows, tiny_model, 3))


def test_a_model_of_another_format_is_refused(tiny_model: Model, tmp_path: Path) -> None:
    tiny_model.save(tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    for other in (card | {"format": 99}, {"format": 99, "cuts": []}):
        (tmp_path / "model.json").write_text(json.dumps(other))
        with pytest.raises(ModelRefusedError, match="format 99"):
            load_model(tmp_path)


def test_a_card_without_target_rates_is_still_read(tiny_model: Model, tmp_path: Path) -> None:
    tiny_model.save(tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    assert read_card(tmp_path).thresholds.target_flag_rate("low_alert") == 0.001
    del card["thresholds"]["low_alert_rate"]
    (tmp_path / "model.json").write_text(json.dumps(card))
    assert read_card(tmp_path).thresholds.target_flag_rate("low_alert") is None
