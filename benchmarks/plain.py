"""The plain stack that a user would write first, without chunks or care for memory.

Its parts are pandas, a random forest of 100 trees, an autoencoder through ``keras predict``, an
Evidently report on all rows, and ``to_sql``. The stages of a night are compared with them.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("DO_NOT_TRACK", "1")


def run_plain(train: Path, night: Path, database: Path, *, has_drift: bool) -> None:
    """Fit on one file, score the other, and print the CPU seconds of each part of scoring."""
    parts: dict[str, float] = {}
    clock = time.process_time()
    import keras
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sqlalchemy import create_engine

    parts["imports"] = time.process_time() - clock

    labelled = pd.read_csv(train)
    target = (labelled.pop("class") != "normal").to_numpy()
    names = ["protocol_type", "service", "flag"]
    numbers = [column for column in labelled if column not in names]
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), names),
        (StandardScaler(), numbers),
    )
    matrix = encoder.fit_transform(labelled).astype("float32")
    forest = RandomForestClassifier(100, random_state=0, n_jobs=1).fit(matrix, target)
    autoencoder = keras.Sequential(
        [
            *(keras.layers.Dense(width, activation="relu") for width in (128, 64, 32, 8)),
            *(keras.layers.Dense(width, activation="relu") for width in (32, 64, 128)),
            keras.layers.Dense(matrix.shape[1]),
        ]
    )
    autoencoder.compile(optimizer="adam", loss="mse")
    autoencoder.fit(matrix[~target], matrix[~target], epochs=3, batch_size=256, verbose=0)

    clock = time.process_time()
    frame = pd.read_csv(night)
    parts["read"], clock = time.process_time() - clock, time.process_time()
    encoded = encoder.transform(frame).astype("float32")
    parts["encode"], clock = time.process_time() - clock, time.process_time()
    frame["probability"] = forest.predict_proba(encoded)[:, 1]
    parts["random forest"], clock = time.process_time() - clock, time.process_time()
    errors = ((autoencoder.predict(encoded, verbose=0) - encoded) ** 2).mean(axis=1)
    frame["error"] = errors
    parts["autoencoder"], clock = time.process_time() - clock, time.process_time()
    if has_drift:
        from evidently import Report
        from evidently.presets import DataDriftPreset

        report = Report([DataDriftPreset()]).run(frame[labelled.columns], labelled)
        report.save_html(str(database.with_suffix(".html")))
        parts["drift"], clock = time.process_time() - clock, time.process_time()
    engine = create_engine(f"sqlite:///{database}")
    frame.to_sql("prediction", engine, index=False, if_exists="replace", chunksize=10_000)
    parts["to_sql"] = time.process_time() - clock
    for name, cpu_s in parts.items():
        print(f"{name}\t{cpu_s:.3f}")


if __name__ == "__main__":
    run_plain(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        Path(sys.argv[3]),
        has_drift=sys.argv[4] == "drift",
    )
