"""The model that scores a night: an encoder, its detectors and their tails.

Belongs here: scoring by all detectors, and the model folder with its hash. Does not belong here:
fitting (``tasks.training.fit``), the card and its thresholds (``model_card``, ``thresholds``), or
the manifest and the register of versions (``storage``).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from expectations.errors import ModelRefusedError
from tasks.arrays import Floats
from tasks.detectors.base import write_json
from tasks.detectors.family import FAMILY_SCHEMA, FamilyModel
from tasks.detectors.member import MEMBER_NAMES, Member, MemberName
from tasks.detectors.model_card import (
    CARD_FILE,
    COMPLETE_FORMAT,
    ENCODER_FILE,
    FORMAT,
    TAILS_FILE,
    ModelCard,
    complete_first_format,
    read_card,
    unreadable_model,
)
from tasks.detectors.tails import Tail
from tasks.features.encoding import Encoded, Encoder

NOT_HASHED = (
    "manifest.json",
    "metrics.json",
    "training.json",
    "autoencoder.json",
    "autoencoder.weights.h5",
    "evidence.parquet",
    "row_keys.parquet",
)
"""Files of a model folder that the model's hash leaves out: they hold times, or follow from the
training rows."""

ROWS_AT_ONCE = 16_384
"""Rows encoded at a time: 8 MB of one-hot columns, about the size of a processor's cache."""


@dataclass(frozen=True)
class Model:
    """A fitted model, ready to score and to explain."""

    card: ModelCard
    encoder: Encoder
    members: Sequence[Member]
    """The detectors, in the order of their columns."""
    tails: Mapping[MemberName, Tail]
    """The tail of each detector."""
    family_model: FamilyModel | None = None
    """Names the families of attacks; None where the training rows had too few families."""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a frame must have to be scored."""
        return self.encoder.features

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Score connections, a frame with every feature.

        Returns:
            One row per connection, in order, all float64 and higher for the more anomalous:
            ``classifier_score`` (log-odds), ``one_class_score`` (in the detector's own unit),
            ``classifier_tail`` and ``one_class_tail`` (decades of surprise), and
            ``anomaly_score``, their sum. A row's scores do not depend on the other rows, bit for
            bit. The classifier's columns are null where the model has no classifier.

        Raises:
            InputRejectedError: a feature is absent.
        """
        slices = (
            self._score_encoded(self.encoder.encode(frame.slice(first, ROWS_AT_ONCE)))
            for first in range(0, max(frame.height, 1), ROWS_AT_ONCE)
        )
        return pl.concat(slices, rechunk=True)

    def _score_encoded(self, encoded: Encoded) -> pl.DataFrame:
        raw = {member.name: member.score(encoded) for member in self.members}
        tails = {name: self.tails[name].decades(scores) for name, scores in raw.items()}
        absent = np.full(len(encoded.ordinal), None)
        columns = {f"{name}_score": raw.get(name, absent) for name in MEMBER_NAMES}
        columns |= {f"{name}_tail": tails.get(name, absent) for name in MEMBER_NAMES}
        schema = dict.fromkeys([*columns, "anomaly_score"], pl.Float64)
        return pl.DataFrame({**columns, "anomaly_score": sum_tails(tails)}, schema=schema)

    def name_families(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the family that each connection would belong to if it is an attack.

        One row per connection, in order: ``FAMILY_SCHEMA``; all null without a family model.

        Raises:
            InputRejectedError: a feature is absent.
        """
        if self.family_model is None:
            return FAMILY_SCHEMA.to_frame().clear(frame.height)
        named = [
            self.family_model.name(self.encoder.encode(frame.slice(first, ROWS_AT_ONCE)).ordinal)
            for first in range(0, max(frame.height, 1), ROWS_AT_ONCE)
        ]
        return pl.concat(named, rechunk=True)

    def save(self, folder: Path) -> None:
        """Write the content files into an existing folder."""
        cards = {member.name: member.save(folder) for member in self.members}
        form = FORMAT if self.encoder.reads_missing else COMPLETE_FORMAT
        card = self.card.model_copy(update={"format": form, "members": cards})
        write_json(folder / CARD_FILE, card.model_dump(mode="json"))
        # Without defaults a model of complete rows has the same bytes, so the same name, as ever.
        encoder = self.encoder.model_dump(mode="json", exclude_defaults=True)
        write_json(folder / ENCODER_FILE, encoder)
        tails = {name: tail.model_dump(mode="json") for name, tail in self.tails.items()}
        write_json(folder / TAILS_FILE, tails)
        if self.family_model is not None:
            self.family_model.save(folder)


def load_model(folder: Path, *, threads: int = 1) -> Model:
    """Read a stored model. Imports the libraries its detectors need to score, and never Keras.

    The caller checks the folder against its manifest before. Threads do not change a score.

    Raises:
        ModelRefusedError: a file is missing, or this version cannot read it.
    """
    card = read_card(folder)
    try:
        encoder = Encoder.model_validate_json((folder / ENCODER_FILE).read_bytes())
        tails: dict[str, Any] = json.loads((folder / TAILS_FILE).read_bytes())
        if card.format == 1:
            card = complete_first_format(folder, card, encoder)
            tails["one_class"] = tails.pop("autoencoder")
        typical = encoder.encode(encoder.make_frame(card.typical))
        return Model(
            card=card,
            encoder=encoder,
            members=[
                Member.load(folder, name, member, encoder, typical, threads)
                for name, member in card.members.items()
            ],
            tails={name: Tail.model_validate(tails[name]) for name in card.members},
            family_model=FamilyModel.load(folder, threads),
        )
    except ModelRefusedError:
        raise
    except Exception as error:  # LightGBM and ONNX Runtime raise their own classes
        raise unreadable_model(folder, error) from error


def hash_model(folder: Path) -> str:
    """Return the identity of a fitted model: SHA-256 over its content files.

    The content files are all files of the folder except ``NOT_HASHED``: weights, trees and sorted
    JSON, which are written the same way every time. Equal data, options and seed give an equal
    hash on one machine, at any time.

    Raises:
        ModelRefusedError: the folder holds no model.
    """
    if not (folder / CARD_FILE).is_file():
        message = (
            f"Cannot identify the model in {folder}: {CARD_FILE} is missing. Restore the folder or "
            "train again."
        )
        raise ModelRefusedError(message)
    digest = hashlib.sha256()
    files = (path for path in folder.iterdir() if path.is_file() and path.name not in NOT_HASHED)
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def sum_tails(tails: Mapping[MemberName, Floats]) -> Floats:
    """Add up the detectors' decades of surprise, each with the same weight.

    On traffic like the training rows the classifier's tail decides, because it is longer. On
    attacks of a new kind the classifier's tail is short, and the one-class detector's decides.

    Source: Fisher 1925, section 21.1, for summing logarithms of tail probabilities.
    """
    total: Floats = np.sum(list(tails.values()), axis=0)
    return total
