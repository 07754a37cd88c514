"""The files of the model store: one folder for each model version, verified by its manifest.

Belongs here: copying a model into the store, comparing its files with the manifest, removing what a
killed training left. Does not belong here: the rows of versions in the database
(``storage.model_store``) or what the files mean (the detectors read and write them).
"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Final
from uuid import uuid4

from storage.lake import find_altered, hash_file, list_files, sync, write_atomically

MANIFEST: Final = "manifest.json"

VERSION_HEX: Final = 12
"""Characters of the content hash in the name of a version: 48 bits, short enough to type. If two
models of one contract share them, the second is refused."""

LEFTOVER: Final = re.compile(
    rf"\.(fit-\w+|\w+-[0-9a-f]{{{VERSION_HEX}}}-(stale-)?[0-9a-f]{{12}})", re.ASCII
)
"""Names of folders in which a model is being fitted (``tasks.training.register``), copied or
replaced."""


def place_model(folder: Path, target: Path, contract: str, content_hash: str) -> str:
    """Copy a model's files into the store by one rename; return the SHA-256 of the new manifest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    attempt = target.with_name(f".{target.name}-{uuid4().hex[:12]}")
    try:
        shutil.copytree(folder, attempt, ignore=shutil.ignore_patterns(MANIFEST))
        attempt.chmod(target.parent.stat().st_mode)  # a temporary folder excludes other users
        files = {name: hash_file(attempt / name) for name in list_files(attempt)}
        for name in files:
            sync(attempt / name)
        manifest = json.dumps(
            {"contract": contract, "content_hash": content_hash, "files": files}, indent=1
        ).encode()
        write_atomically(attempt / MANIFEST, manifest)
        if target.exists():
            stale = target.with_name(f".{target.name}-stale-{uuid4().hex[:12]}")
            target.rename(stale)
            shutil.rmtree(stale)
        attempt.rename(target)
        sync(target.parent)
    except BaseException:
        shutil.rmtree(attempt, ignore_errors=True)
        raise
    return hashlib.sha256(manifest).hexdigest()


def discard_unfinished(models: Path) -> None:
    """Remove the folders of killed trainings. The caller makes sure that no training is running.

    Versions and all other files stay.
    """
    if models.is_dir():
        for folder in models.iterdir():
            if LEFTOVER.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def find_model_fault(folder: Path, manifest_hash: str) -> str | None:
    """Return how a model's folder differs from its manifest; None if it does not."""
    path = folder / MANIFEST
    if not path.is_file():
        return f"{MANIFEST} is missing"
    manifest = path.read_bytes()
    if hashlib.sha256(manifest).hexdigest() != manifest_hash:
        return f"{MANIFEST} is not the one that was registered"
    registered: dict[str, str] = json.loads(manifest)["files"]
    return find_altered(folder, registered, MANIFEST, "it was registered")
