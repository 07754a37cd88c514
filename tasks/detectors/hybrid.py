"""The model that scores a night: an encoder, its detectors, their tails and the thresholds.

Belongs here: joining the detectors' scores, and the model folder. Does not belong here: fitting
(see ``tasks.training.fit``), or the manifest and the register of versions (see ``storage``).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.errors import ModelRefusedError, UsageError
from tasks.arrays import Floats
from tasks.detectors.category import CATEGORY_SCHEMA, CategoryModel
from tasks.detectors.member import ROLES, Member, MemberCard, Role
from tasks.detectors.tails import Tail
from tasks.detectors.thresholds import Thresholds
from tasks.features.encoding import Encoded, Encoder, Value

MODEL = "model.json"
ENCODER_FILE = "encoder.json"
TAILS_FILE = "tails.json"

BESIDE = (
    "manifest.json",
    "metrics.json",
    "training.json",
    "autoencoder.json",
    "autoencoder.weights.h5",
    "evidence.parquet",
    "row_keys.parquet",
)
"""Files of a model folder that are no part of what the model is: they carry times, or follow from
the data."""

FORMAT = 2
"""Of the model folder; a change that an older version would misread counts it up. A field that is
optional, and that older versions do well to ignore, is no such change. Format 1, of models that are
LightGBM on all features beside an autoencoder, is read as well."""

ROWS_AT_ONCE = 16_384
"""Rows encoded at a time: 8 MB of one-hot columns, which a processor's cache still helps with."""

OperatingPointName = Literal["default", "low_alert", "p50"]
"""``default`` and ``low_alert`` cut ``anomaly_score``, ``p50`` cuts ``classifier_score``."""

OPERATING_POINTS: tuple[OperatingPointName, ...] = get_args(OperatingPointName)

P50_LOG_ODDS = 0.0
"""The log-odds of a probability of one half."""


class ModelCard(BaseModel):
    """What ``model.json`` holds."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    contract: str
    """The data source whose connections the model reads."""
    thresholds: Thresholds
    members: dict[Role, MemberCard] = {}
    """The detectors, by what they are for."""
    typical: dict[str, Value] = {}
    """The ordinary value of each feature among normal training rows: median, or commonest name."""
    attacks: tuple[str, ...] | None = None
    """The names of the attacks it was taught, sorted; None where its labels did not name them, or
    in a model stored before they were kept."""

    @property
    def operating_points(self) -> tuple[OperatingPointName, ...]:
        """Those that it has: without a classifier there are no even odds to cut at."""
        if self.members and "classifier" not in self.members:
            return tuple(name for name in OPERATING_POINTS if name != "p50")
        return OPERATING_POINTS

    def threshold(self, operating_point: str) -> float:
        """Return the score above which the operating point flags; see ``cut_column``.

        Raises:
            UsageError: there is no such operating point.
        """
        if cut_column(operating_point) == "classifier_score":
            return P50_LOG_ODDS
        value: float = getattr(self.thresholds, operating_point)
        return value

    def with_low_alert_rate(self, rate: float) -> "ModelCard":
        """Return the card with ``low_alert`` at another rate of false alarms.

        Raises:
            UsageError: the model does not know how its normals scored.
        """
        threshold = self.thresholds.at_rate(rate)
        changes = {
            "low_alert": threshold,
            "low_alert_rate": self.thresholds.rate_kept(rate, threshold),
        }
        return self.model_copy(update={"thresholds": self.thresholds.model_copy(update=changes)})

    def target_flag_rate(self, operating_point: str) -> float | None:
        """Return the share of normal connections that the operating point is to flag.

        None for even odds, which aim at none, and where the rate is not known.

        Raises:
            UsageError: there is no such operating point.
        """
        cut_column(operating_point)
        rates = {
            "default": self.thresholds.default_rate,
            "low_alert": self.thresholds.low_alert_rate,
        }
        return rates.get(operating_point)


@dataclass(frozen=True)
class Model:
    """A fitted model, ready to score and to explain."""

    card: ModelCard
    encoder: Encoder
    members: Sequence[Member]
    """The detectors, in the order of their columns."""
    tails: Mapping[Role, Tail]
    """Of each of them."""
    category: CategoryModel | None = None
    """The second stage, which names the families of attacks; None where it was taught none."""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns a frame must have to be scored."""
        return self.encoder.features

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Score connections.

        Args:
            frame: one row per connection, with every feature.

        Returns:
            One row per connection, in order, all float64 and higher for the more anomalous:
            ``classifier_score`` (log-odds), ``one_class_score`` (in the detector's own unit),
            ``classifier_tail`` and ``one_class_tail`` (decades of surprise), and
            ``anomaly_score``, their sum. A row's scores do not depend on the other rows, bit for
            bit. Those of a classifier are null where the model has none.

        Raises:
            InputRejectedError: a feature is absent.
        """
        slices = (
            self._score_encoded(self.encoder.encode(frame.slice(first, ROWS_AT_ONCE)))
            for first in range(0, max(frame.height, 1), ROWS_AT_ONCE)
        )
        return pl.concat(slices, rechunk=True)

    def _score_encoded(self, encoded: Encoded) -> pl.DataFrame:
        raw = {member.role: member.score(encoded) for member in self.members}
        tails = {role: self.tails[role].decades(scores) for role, scores in raw.items()}
        absent = np.full(len(encoded.ordinal), None)
        columns = {f"{role}_score": raw.get(role, absent) for role in ROLES}
        columns |= {f"{role}_tail": tails.get(role, absent) for role in ROLES}
        schema = dict.fromkeys([*columns, "anomaly_score"], pl.Float64)
        return pl.DataFrame({**columns, "anomaly_score": sum_tails(tails)}, schema=schema)

    def name_attacks(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Say of connections what family of attack each looks like, if it is one.

        Args:
            frame: one row per connection, with every feature.

        Returns:
            One row per connection, in order: ``CATEGORY_SCHEMA``; all null where the model was
            taught no families.

        Raises:
            InputRejectedError: a feature is absent.
        """
        if self.category is None:
            return CATEGORY_SCHEMA.to_frame().clear(frame.height)
        named = [
            self.category.name(self.encoder.encode(frame.slice(first, ROWS_AT_ONCE)).ordinal)
            for first in range(0, max(frame.height, 1), ROWS_AT_ONCE)
        ]
        return pl.concat(named, rechunk=True)

    def threshold(self, operating_point: str) -> float:
        """Return the score above which the operating point flags; see ``cut_column``.

        Raises:
            UsageError: there is no such operating point.
        """
        return self.card.threshold(operating_point)

    def save(self, folder: Path) -> None:
        """Write the content files into an existing folder."""
        cards = {member.role: member.save(folder) for member in self.members}
        card = self.card.model_copy(update={"members": cards})
        write_json(folder / MODEL, card.model_dump(mode="json"))
        write_json(folder / ENCODER_FILE, self.encoder.model_dump(mode="json"))
        tails = {role: tail.model_dump(mode="json") for role, tail in self.tails.items()}
        write_json(folder / TAILS_FILE, tails)
        if self.category is not None:
            self.category.save(folder)


def load_model(folder: Path, *, threads: int = 1) -> Model:
    """Read a stored model; needs what its detectors serve with, and never Keras.

    Whether the folder is the one that was registered is checked before, against its manifest.

    Args:
        folder: the model folder.
        threads: used by the detectors; does not change a score.

    Returns:
        The model.

    Raises:
        ModelRefusedError: a file is missing, or not in a form this version reads.
    """
    card = read_card(folder)
    try:
        encoder = Encoder.model_validate_json((folder / ENCODER_FILE).read_bytes())
        tails: dict[str, Any] = json.loads((folder / TAILS_FILE).read_bytes())
        if card.format == 1:
            card = read_first_format(folder, card, encoder)
            tails["one_class"] = tails.pop("autoencoder")
        typical = encoder.encode(encoder.frame_of(card.typical))
        return Model(
            card=card,
            encoder=encoder,
            members=[
                Member.load(folder, role, member, encoder, typical, threads)
                for role, member in card.members.items()
            ],
            tails={role: Tail.model_validate(tails[role]) for role in card.members},
            category=CategoryModel.load(folder, threads),
        )
    except ModelRefusedError:
        raise
    except Exception as error:  # LightGBM and ONNX Runtime raise classes of their own
        raise _refusal(folder, error) from error


def read_card(folder: Path) -> ModelCard:
    """Read what a stored model is for, and its thresholds, without the model.

    Raises:
        ModelRefusedError: the card is missing, or not in a form this version reads.
    """
    try:
        card = json.loads((folder / MODEL).read_bytes())
        stored = card["format"]
        if stored in {1, FORMAT}:
            return ModelCard.model_validate(card)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _refusal(folder, error) from error
    raise _refusal(folder, f"format {stored}; this version of Noctule reads {FORMAT}")


def read_first_format(folder: Path, card: ModelCard, encoder: Encoder) -> ModelCard:
    """Complete the card of a model of format 1 by what its other files say.

    Raises:
        ModelRefusedError: it reads selected columns, which are stored in another way now.
    """
    state = json.loads((folder / "classifier.json").read_bytes())
    if state["selection"] is not None:
        raise _refusal(folder, "a selection in format 1")
    members: dict[Role, MemberCard] = {
        "classifier": MemberCard(kind="lightgbm", stem="classifier", reads="ordinal"),
        "one_class": MemberCard(kind="autoencoder", stem="autoencoder", reads="neural"),
    }
    typical = encoder.name_values(state["typical"])
    return card.model_copy(update={"members": members, "typical": typical})


def _refusal(folder: Path, cause: object) -> ModelRefusedError:
    message = (
        f"Cannot load the model in {folder}: expected {MODEL}, {ENCODER_FILE}, {TAILS_FILE} and "
        "the files of its detectors as `noctule train` writes them, got: "
        f"{cause}. Restore the folder or train again."
    )
    return ModelRefusedError(message)


def hash_content(folder: Path) -> str:
    """Return the identity of a fitted model: SHA-256 over its content files.

    Those are all files of the folder but those ``BESIDE``: weights, trees and sorted JSON, written
    the same way every time. Equal data, options and seed give an equal hash on one machine,
    whatever the time.

    Raises:
        ModelRefusedError: it holds no model.
    """
    if not (folder / MODEL).is_file():
        message = (
            f"Cannot identify the model in {folder}: {MODEL} is missing. Restore the folder or "
            "train again."
        )
        raise ModelRefusedError(message)
    digest = hashlib.sha256()
    files = (path for path in folder.iterdir() if path.is_file() and path.name not in BESIDE)
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def sum_tails(tails: Mapping[Role, Floats]) -> Floats:
    """Add up decades of surprise, each detector with the same weight.

    On traffic like the training data the classifier's tail decides, for it reaches further; on
    attacks of a new kind, where the classifier is silent, the one-class detector's does.

    Source: Fisher 1925, section 21.1, for summing logarithms of tail probabilities.
    """
    total: Floats = np.sum(list(tails.values()), axis=0)
    return total


def cut_column(operating_point: str) -> Literal["anomaly_score", "classifier_score"]:
    """Return the score column an operating point's threshold cuts.

    Raises:
        UsageError: there is no such operating point.
    """
    if operating_point not in OPERATING_POINTS:
        message = (
            f"There is no operating point {operating_point!r}: choose one of "
            f"{', '.join(OPERATING_POINTS)}."
        )
        raise UsageError(message)
    return "classifier_score" if operating_point == "p50" else "anomaly_score"


def flag(scores: pl.DataFrame, operating_point: str, threshold: float) -> pl.Series:
    """Flag the connections whose score lies above the threshold, Boolean (n_rows,)."""
    return (scores[cut_column(operating_point)] > threshold).alias("is_flagged")


def write_json(path: Path, value: object) -> None:
    """Write a file of a model folder: sorted, so that equal values give equal bytes."""
    path.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n", encoding="utf-8")
