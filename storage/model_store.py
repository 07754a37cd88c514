"""The model store: the versions of models in the database, and which of them is champion.

Belongs here: registering, loading and promoting versions. Does not belong here: their files
(``model_files``), what those mean (the detectors read and write them), or which model is better.

A version is a folder ``<models>/<version>`` with a ``manifest.json`` that has the SHA-256 of every
other file; the database has the SHA-256 of the manifest. The caller computes a hash of the model's
canonical content, which gives the version its name: equal models are one version, although times in
their files may differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import ModelRefusedError, UsageError
from storage.database import insert_or_update, read, serialise, write
from storage.model_files import VERSION_HEX, find_model_fault, place_model
from storage.promotions import append_change, list_champions, require_reason
from storage.schema import model_version, promotion

FIRST_MODEL: Final = "the first model of its contract"

FINGERPRINT: Final = "feature_fingerprint"
"""The key in ``ModelVersion.training`` of the ``Contract.feature_fingerprint`` at the fit."""


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A registered model."""

    version: str
    contract: str
    content_hash: str
    manifest_hash: str
    registered_at: datetime
    rows_trained: int
    training: dict[str, Any]
    """Options, source files and library versions of the fit."""
    metrics: dict[str, Any]
    """Held-out metrics, as the fit reported them."""


VERSIONS: Final = sa.select(
    model_version.c.model_version_id.label("version"),
    *(column for column in model_version.c if not column.primary_key),
)
"""Selects every version, with the names of ``ModelVersion``."""


def register_model(  # noqa: PLR0913 - the facts of a version, each named at the call
    engine: Engine,
    models: Path,
    folder: Path,
    *,
    contract: str,
    content_hash: str,
    rows_trained: int,
    training: Mapping[str, object],
    metrics: Mapping[str, object],
    registered_at: datetime,
    registered_by: str,
) -> ModelVersion:
    """Store a fitted model, make the first one of a contract champion, and return the version.

    Registering the same content again returns the existing version; if its files in the store are
    missing or altered, or it was fitted when the contract's features had another fingerprint, its
    files and the record of its training are replaced.

    The store's folder ``models`` is created if it does not exist. ``folder`` has the model's files,
    which stay unchanged; a manifest among them is ignored. ``content_hash`` is SHA-256 of the
    model's canonical content, in hexadecimal; ``rows_trained`` counts the labelled rows that it was
    fitted on. ``training`` (options and sources) and ``metrics`` (held-out) are values that JSON
    can hold. The history shows ``registered_by`` if the model becomes champion.

    Raises:
        ModelRefusedError: a model with other content has the same name.
    """
    version = f"{contract}-{content_hash[:VERSION_HEX]}"
    with write(engine) as connection:
        serialise(connection, f"models of {contract}")
        known = _find(connection, version)
        if known is not None and known.content_hash != content_hash:
            message = f"Cannot register model {version}: another model already has this name."
            raise ModelRefusedError(message)
        if (
            known is not None
            and known.training.get(FINGERPRINT) == training.get(FINGERPRINT)
            and find_model_fault(models / version, known.manifest_hash) is None
        ):
            return known
        facts = {
            "contract": contract,
            "content_hash": content_hash,
            "manifest_hash": place_model(folder, models / version, contract, content_hash),
            "registered_at": registered_at,
            "rows_trained": rows_trained,
            "training": dict(training),
            "metrics": dict(metrics),
        }
        connection.execute(
            insert_or_update(connection, model_version)
            .values(model_version_id=version, **facts)
            .on_conflict_do_update(
                index_elements=[model_version.c.model_version_id],
                set_={name: facts[name] for name in ("manifest_hash", "training")},
            )
        )
        if not list_champions(connection, contract):
            append_change(
                connection, contract, version, "promote", registered_by, FIRST_MODEL, registered_at
            )
        registered = _find(connection, version)
    assert registered is not None, "just inserted"  # noqa: S101 - our own mistake
    return registered


def list_versions(engine: Engine) -> list[ModelVersion]:
    """Return every registered version, sorted by name."""
    with read(engine) as connection:
        rows = connection.execute(VERSIONS.order_by(model_version.c.model_version_id)).mappings()
        return [ModelVersion(**row) for row in rows]


def load_verified(engine: Engine, models: Path, version: str) -> Path:
    """Return a version's folder, after checking that every file is as it was registered.

    Raises:
        ModelRefusedError: the version is not registered, or a file is missing, altered or new; the
            message names the file.
    """
    with read(engine) as connection:
        known = _find(connection, version)
    if known is None:
        message = (
            f"Cannot load model {version}: the database does not know it. `noctule models` lists"
            " all versions."
        )
        raise ModelRefusedError(message)
    return _require_intact(models, known, "nothing was scored")


def _require_intact(models: Path, known: ModelVersion, so_far: str) -> Path:
    """Return a version's folder; ``so_far`` ends the message about a file that differs."""
    folder = models / known.version
    fault = find_model_fault(folder, known.manifest_hash)
    if fault is not None:
        message = (
            f"Refused model {known.version}: {fault} (in {folder}). Restore the folder from a"
            f" backup, or train again on the same files; {so_far}."
        )
        raise ModelRefusedError(message)
    return folder


def champion(engine: Engine, contract: str) -> ModelVersion:
    """Return the champion of a contract.

    Raises:
        UsageError: the contract has no model.
    """
    with read(engine) as connection:
        line = list_champions(connection, contract)
        found = _find(connection, line[-1]) if line else None
    if found is None:
        message = (
            f"There is no model for contract {contract} yet. Train one on labelled traffic first:"
            " noctule train FILE"
        )
        raise UsageError(message)
    return found


def list_champion_contracts(engine: Engine) -> list[str]:
    """Return the contracts that have a champion, sorted by name."""
    query = sa.select(promotion.c.contract).distinct().order_by(promotion.c.contract)
    with read(engine) as connection:
        names = connection.scalars(query).all()
        return [name for name in names if list_champions(connection, name)]


def promote(
    engine: Engine, models: Path, version: str, *, who: str, reason: str, now: datetime
) -> None:
    """Make a version the champion of its contract.

    Raises:
        UsageError: the reason is empty, there is no such version, or it is already the champion.
        ModelRefusedError: its files differ from those registered; nothing was changed.
    """
    with write(engine) as connection:
        promote_within(connection, models, version, who=who, reason=reason, now=now)


def promote_within(
    connection: Connection,
    models: Path,
    version: str,
    *,
    who: str,
    reason: str,
    now: datetime,
    instead_of: str | None = None,
) -> None:
    """Make a version the champion, in the caller's transaction.

    The connection is in a transaction. ``instead_of`` is the champion that the version was compared
    with; None to promote it in any case. The history shows ``who`` and ``reason``.

    Raises:
        UsageError: the reason is empty, there is no such version, it is already the champion, or
            the champion is no longer ``instead_of``.
        ModelRefusedError: its files differ from those registered.
    """
    require_reason("promote", version, reason)
    known = _find(connection, version)
    if known is None:
        message = (
            f"Cannot promote {version}: there is no such version. `noctule models` lists them."
        )
        raise UsageError(message)
    serialise(connection, f"models of {known.contract}")
    line = list_champions(connection, known.contract)
    if line[-1:] == [version]:
        message = f"{version} is already the champion of {known.contract}. Nothing was changed."
        raise UsageError(message)
    if instead_of is not None and line[-1:] != [instead_of]:
        message = (
            f"Cannot promote {version}: it was compared with {instead_of}, but {line[-1]} has"
            " become champion since. Retrain again. Nothing was changed."
        )
        raise UsageError(message)
    _require_intact(models, known, "nothing was changed")
    append_change(connection, known.contract, version, "promote", who, reason, now)


def rollback(
    engine: Engine, models: Path, contract: str, *, who: str, reason: str, now: datetime
) -> str:
    """Undo the latest promotion that was not undone; return the version that is champion now.

    The champion before that promotion returns. Rolling back twice undoes two promotions.

    Raises:
        UsageError: the reason is empty, or there is no earlier champion.
        ModelRefusedError: its files differ from those registered; nothing was changed.
    """
    require_reason("roll back", contract, reason)
    with write(engine) as connection:
        serialise(connection, f"models of {contract}")
        line = list_champions(connection, contract)
        if len(line) < 2:  # noqa: PLR2004 - the champion and one before
            message = (
                f"Cannot roll back {contract}: it has no earlier champion. `noctule models` shows"
                " the history. Nothing was changed."
            )
            raise UsageError(message)
        before = _find(connection, line[-2])
        assert before is not None, "a foreign key"  # noqa: S101 - our own mistake
        _require_intact(models, before, "nothing was changed")
        append_change(connection, contract, line[-2], "rollback", who, reason, now)
    return line[-2]


def _find(connection: Connection, version: str) -> ModelVersion | None:
    query = VERSIONS.where(model_version.c.model_version_id == version)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else ModelVersion(**row)
