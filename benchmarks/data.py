"""The measured files: seeded resamples of the real training file."""

from pathlib import Path

import numpy as np

TRAIN = Path(__file__).parents[2] / "shared" / "data" / "nsl-kdd" / "Train_data.csv"
WHOLE = TRAIN.with_name("KDDTrain+.txt")
"""All training connections of NSL-KDD, of which ``TRAIN`` is a fifth."""
SEED = 7


def resample(out: Path, rows: int, *, labelled: bool = False) -> Path:
    """Write the header and ``rows`` lines that are drawn with replacement from the training file.

    Args:
        out: the folder of the file; an existing file is used again.
        rows: data lines.
        labelled: whether to keep the ``class`` column, which a night usually lacks.

    Returns:
        The CSV file.
    """
    name = "labelled" if labelled else "night"
    target = out / f"{name}_{rows}.csv"
    if target.exists():
        return target
    header, *lines = TRAIN.read_text().splitlines()
    if not labelled:
        header, *lines = (line.rpartition(",")[0] for line in [header, *lines])
    drawn = np.random.default_rng(SEED).integers(0, len(lines), rows)
    partial = target.with_suffix(".part")
    with partial.open("w") as file:
        file.write(header + "\n")
        file.writelines(lines[index] + "\n" for index in drawn)
    partial.rename(target)
    return target
