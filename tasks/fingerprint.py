"""Fingerprints: a hash of the code of a room, which tells whether a stage's result is still valid.

Belongs here: which sources and libraries a room's results depend on. Does not belong here: a
stage's other inputs (see the keys in the rooms' ``stage`` modules).
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from storage.lake import hash_text

ROOT = Path(__file__).parents[1]

SOURCE_SUFFIXES = {".py", ".html", ".j2"}

LIBRARIES = (
    "numpy", "scipy", "pandas", "pyarrow", "polars", "great-expectations", "lightgbm",
    "onnxruntime", "evidently", "plotly",
)  # fmt: skip
"""Libraries that a stage's result depends on: another version of one makes the stage run again.

scikit-learn, Keras and JAX are left out: only training calls them, no stage does."""

_IMPORT = re.compile(
    r"^\s*from ((?:expectations|storage|tasks)(?:\.\w+)*) import (\([^)]*\)|.*)$", re.MULTILINE
)
_EXTENDS = re.compile(r'{% (?:extends|include|import|from) "([\w./]+)"')


@cache
def code_fingerprint(*rooms: str, root: Path = ROOT) -> str:
    """Return a hash of the sources of rooms, of what they import, and of library versions."""
    sources = sorted(_sources(rooms, root))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources]
    names = [path.relative_to(root).as_posix() for path in sources]
    return hash_text(*names, *digests, *(f"{name} {version(name)}" for name in LIBRARIES))


def _sources(rooms: tuple[str, ...], root: Path) -> set[Path]:
    """Return the files of rooms, and the modules and templates that they import, recursively."""
    found: set[Path] = set()
    waiting = [path for room in rooms for path in (root / "tasks" / room).iterdir()]
    while waiting:
        path = waiting.pop()
        if path.suffix in SOURCE_SUFFIXES and path not in found:
            found.add(path)
            source = path.read_text(encoding="utf-8")
            if path.suffix == ".py":
                waiting += _imported(source, root)
            else:
                waiting += [root / "tasks" / name for name in _EXTENDS.findall(source)]
    return found


def _imported(source: str, root: Path) -> Iterator[Path]:
    """Return the modules that a source imports, anywhere in it."""
    for package, names in _IMPORT.findall(source):
        folder = root.joinpath(*package.split("."))
        of_package = (folder / f"{name}.py" for name in re.findall(r"\w+", names))
        candidates = (folder.with_suffix(".py"), folder / "__init__.py", *of_package)
        yield from (path for path in candidates if path.is_file())
