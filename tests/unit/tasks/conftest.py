"""Fixtures for the tests of tasks: a few labelled connections, and one small fitted model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.detectors.autoencoder import AutoencoderOptions
from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.detectors.model import Model, load_model
from tasks.training.fit import FitSummary, fit_model
from tasks.training.options import TrainingOptions
from tests.support.sources import NSL_KDD

MakeConnections = Callable[..., pl.DataFrame]

TINY = TrainingOptions(
    folds=2,
    classifier=LightGBMOptions(trees=8, leaves=7),
    one_class=AutoencoderOptions(layers=(16, 4), epochs=3, batch_rows=64),
)


def _connections(rows: int, seed: int) -> pl.DataFrame:
    """Make connections: half are normal web and DNS traffic, half are attacks of three families."""
    random = np.random.default_rng(seed)
    kind = np.array(["normal", "neptune", "normal", "satan", "normal", "guess_passwd"])[
        np.arange(rows) % 6
    ]
    is_web = random.random(rows) < 0.7
    columns: dict[str, object] = {
        "protocol_type": np.where(is_web, "tcp", "udp"),
        "service": np.where(is_web, "http", "domain_u"),
        "flag": np.full(rows, "SF"),
        "src_bytes": random.lognormal(5, 1, rows).astype(np.int64),
        "dst_bytes": random.lognormal(7, 1, rows).astype(np.int64),
        "count": random.integers(1, 20, rows),
        "srv_count": random.integers(1, 20, rows),
        "dst_host_count": random.integers(1, 256, rows),
        "same_srv_rate": np.full(rows, 1.0),
        "dst_host_same_srv_rate": random.random(rows).round(2),
    }
    frame = pl.DataFrame(columns).with_columns(
        pl.lit(0).alias(name) for name in NSL_KDD.feature_names if name not in columns
    )
    attack = pl.Series("attack", kind)
    is_flood, is_probe, is_guess = attack == "neptune", attack == "satan", attack == "guess_passwd"
    frame = frame.with_columns(
        attack,
        protocol_type=pl.when(is_guess | is_flood).then(pl.lit("tcp")).otherwise("protocol_type"),
        service=pl.when(is_guess).then(pl.lit("telnet")).otherwise("service"),
        flag=pl.when(is_flood)
        .then(pl.lit("S0"))
        .when(is_probe)
        .then(pl.lit("REJ"))
        .otherwise("flag"),
        serror_rate=pl.when(is_flood).then(1.0).otherwise(0.0),
        rerror_rate=pl.when(is_probe).then(1.0).otherwise(0.0),
        num_failed_logins=pl.when(is_guess).then(pl.col("count") % 4 + 1).otherwise(0),
        src_bytes=pl.when(is_flood | is_probe).then(0).otherwise("src_bytes"),
        count=pl.when(is_flood).then(pl.col("count") + 200).otherwise("count"),
    )
    return frame.select(
        pl.int_range(1, rows + 1, dtype=pl.Int64).alias("row_number"),
        pl.int_range(2, rows + 2, dtype=pl.Int64).alias("line_number"),
        *(pl.col(column.name).cast(column.dtype) for column in NSL_KDD.features),
        pl.when(attack == "normal").then(attack).otherwise(pl.lit("anomaly")).alias("class"),
        "attack",
    )


@pytest.fixture(scope="session")
def make_connections() -> MakeConnections:
    """Return a function that makes labelled connections; every second one is an attack."""
    return _connections


@pytest.fixture(scope="session")
def tiny_options() -> TrainingOptions:
    return TINY


@pytest.fixture(scope="session")
def training_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    part = tmp_path_factory.mktemp("training") / "connections-00000.parquet"
    _connections(600, seed=1).write_parquet(part)
    return part


@pytest.fixture(scope="session")
def tiny_fit(
    tmp_path_factory: pytest.TempPathFactory, training_part: Path
) -> tuple[Path, FitSummary]:
    """Fit one small model; return its folder and the summary of the fit."""
    folder = tmp_path_factory.mktemp("model")
    return folder, fit_model([training_part], NSL_KDD, folder, TINY)


@pytest.fixture(scope="session")
def tiny_model_folder(tiny_fit: tuple[Path, FitSummary]) -> Path:
    return tiny_fit[0]


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder: Path) -> Model:
    return load_model(tiny_model_folder)
