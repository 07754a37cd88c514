"""Files of scikit-learn models: skops, with the list of allowed types in our own code.

Belongs here: writing and reading such a file. Does not belong here: any model.

A skops file is a zip of arrays and a schema, which identifies objects by their addresses in memory.
We write it canonically: objects are numbered in the order of their mention, and times and the bytes
between the fields of an array are left out. So equal models give equal bytes, whether they were
just fitted or read from a file.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from expectations.errors import ModelRefusedError

SCHEMA, ARRAY = "schema.json", ".npy"

TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
)
"""Types that our files may hold beside those that skops trusts itself. Each restores arrays and
numbers; none runs code from the file."""

_MADE_AT = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold."""


def write_sklearn(model: object, path: Path) -> None:
    """Write a fitted model; equal models give equal bytes."""
    from skops.io import dumps

    with zipfile.ZipFile(io.BytesIO(dumps(model))) as made:
        content = {name: made.read(name) for name in made.namelist()}
    numbers: dict[str, str] = {}
    schema = json.dumps(_renumber(json.loads(content.pop(SCHEMA)), numbers), indent=1)
    renamed = {
        f"{numbers[name.removesuffix(ARRAY)]}{ARRAY}": _clean(data)
        for name, data in content.items()
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, data in sorted({**renamed, SCHEMA: schema.encode()}.items()):
            file.writestr(zipfile.ZipInfo(name, _MADE_AT), data)


def _renumber(node: Any, numbers: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """Number the objects of a schema from 1 in the order of their mention; skops skips a zero.

    Constants are identified by their values: whether two equal ones are one object in memory is
    chance.
    """
    if isinstance(node, list):
        return [_renumber(one, numbers) for one in node]
    if not isinstance(node, dict):
        return node
    named: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__":
            name = f"json {node['content']}" if node.get("is_json") else str(value)
            named[key] = int(numbers.setdefault(name, str(len(numbers) + 1)))
        elif key == "file":
            name = value.removesuffix(ARRAY)
            named[key] = f"{numbers.setdefault(name, str(len(numbers) + 1))}{ARRAY}"
        else:
            named[key] = _renumber(value, numbers)
    return named


def _clean(data: bytes) -> bytes:
    """Zero the bytes between the fields of a stored array, which are left over from memory."""
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    cleaned = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        cleaned[name] = array[name]
    # Keep the header and write the rows here: np.save may leave new bytes between the fields.
    header = len(data) - cleaned.nbytes
    return data[:header] + cleaned.tobytes()


def read_sklearn(path: Path, expected: str) -> Any:  # noqa: ANN401 - as skops does
    """Read a model of the expected class that ``write_sklearn`` wrote.

    Raises:
        ModelRefusedError: it holds a type that is not allowed, or is of another class.
    """
    from skops.io import get_untrusted_types, loads

    content = path.read_bytes()
    unknown = sorted(set(get_untrusted_types(data=content)) - set(TRUSTED))
    if unknown:
        message = (
            f"Refused the model in {path}: it holds {', '.join(unknown)}, which no model of Noctule"
            " does. Restore the folder from a backup, or train again."
        )
        raise ModelRefusedError(message)
    model = loads(content, trusted=list(TRUSTED))  # the bytes that were checked
    if type(model).__name__ != expected:
        message = (
            f"Refused the model in {path}: expected {expected}, got"
            f" {type(model).__name__}. Restore the folder from a backup, or train again."
        )
        raise ModelRefusedError(message)
    return model
