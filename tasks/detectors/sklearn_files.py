"""scikit-learn models as files: skops, with the types we expect in our own code, and no times.

Belongs here: writing and reading such a file. Does not belong here: what the models mean.

A skops file is a zip of arrays and a schema, in which arrays go by the addresses that they had in
memory. Written canonically, numbered in the order of their mention and without times, equal models
give equal bytes.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expectations.errors import ModelRefusedError

SCHEMA = "schema.json"

TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
)
"""What a file of ours may hold beside the types that skops trusts by itself. Each restores arrays
and numbers; none runs code of the file."""

_ADDRESS = re.compile(r'("__id__": |")(\d{6,})(?=[,\s}]|\.npy")')
_MADE_AT = (1980, 1, 1, 0, 0, 0)
"""The first moment a zip can name."""


def write_sklearn(model: object, path: Path) -> None:
    """Write a fitted model; equal models give equal bytes."""
    from skops.io import dumps

    with zipfile.ZipFile(io.BytesIO(dumps(model))) as made:
        content = {name: made.read(name) for name in made.namelist()}
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"{found[1]}{numbers.setdefault(found[2], len(numbers))}"

    schema = _ADDRESS.sub(number, content.pop(SCHEMA).decode())
    renamed = {f"{numbers[name.removesuffix('.npy')]}.npy": data for name, data in content.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, data in sorted({**renamed, SCHEMA: schema.encode()}.items()):
            file.writestr(zipfile.ZipInfo(name, _MADE_AT), data)


def read_sklearn(path: Path, expected: Sequence[str]) -> Any:  # noqa: ANN401 - as skops does
    """Read a model.

    Args:
        path: as ``write_sklearn`` wrote it.
        expected: names of the classes that it may be.

    Raises:
        ModelRefusedError: it holds a type that is not ours to expect, or is another model.
    """
    from skops.io import get_untrusted_types, load

    content = path.read_bytes()
    unknown = sorted(set(get_untrusted_types(data=content)) - set(TRUSTED))
    if unknown:
        message = (
            f"Refused the model in {path}: it holds {', '.join(unknown)}, which no model of Noctule"
            " does. Restore the folder from a backup, or train again."
        )
        raise ModelRefusedError(message)
    model = load(path, trusted=list(TRUSTED))
    if type(model).__name__ not in expected:
        message = (
            f"Refused the model in {path}: expected {' or '.join(expected)}, got"
            f" {type(model).__name__}. Restore the folder from a backup, or train again."
        )
        raise ModelRefusedError(message)
    return model
