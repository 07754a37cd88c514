"""The card of a model: what ``model.json`` says of it, which commands read without the model.

Belongs here: the card and its formats. Does not belong here: the model itself (``model``), or the
manifest and the register of versions (``storage``).
"""

import json
from pathlib import Path

from pydantic import BaseModel

from expectations.errors import ModelRefusedError
from tasks.detectors.member import MemberCard, MemberName
from tasks.detectors.thresholds import OPERATING_POINTS, OperatingPointName, Thresholds
from tasks.features.encoding import Encoder
from tasks.features.values import Value

CARD_FILE = "model.json"
ENCODER_FILE = "encoder.json"
TAILS_FILE = "tails.json"

FORMAT = 3
"""Version of the model folder's format. A change that an older version of Noctule would misread
raises it; a new optional field that older versions may ignore does not. The formats before are read
as well: the models of format 1 are LightGBM on all features and an autoencoder."""

COMPLETE_FORMAT = 2
"""The format of a model whose training rows lacked no feature."""


class ModelCard(BaseModel, frozen=True):
    """What ``model.json`` holds."""

    format: int = COMPLETE_FORMAT
    contract: str
    """The contract whose connections the model reads."""
    thresholds: Thresholds
    members: dict[MemberName, MemberCard] = {}
    """The detectors by name."""
    typical: dict[str, Value | None] = {}
    """Each feature's typical value among normal training rows: the median, or the commonest
    category; None where most of them lack it."""
    attacks: tuple[str, ...] | None = None
    """Names of the attacks in the training rows, sorted. None where the labels did not name them,
    or where an earlier version stored the model."""

    @property
    def operating_points(self) -> tuple[OperatingPointName, ...]:
        """The operating points of the model; without a classifier there is no ``p50``."""
        if self.members and "classifier" not in self.members:
            return tuple(name for name in OPERATING_POINTS if name != "p50")
        return OPERATING_POINTS


def read_card(folder: Path) -> ModelCard:
    """Read the card of a stored model, and nothing else of it.

    Raises:
        ModelRefusedError: the card is missing, or this version cannot read it.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_bytes())
        stored = card["format"]
        if stored in range(1, FORMAT + 1):
            return ModelCard.model_validate(card)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise unreadable_model(folder, error) from error
    raise unreadable_model(folder, f"format {stored}; this version of Noctule reads {FORMAT}")


def complete_first_format(folder: Path, card: ModelCard, encoder: Encoder) -> ModelCard:
    """Add to the card of a model of format 1 what its other files hold.

    Raises:
        ModelRefusedError: the classifier reads selected columns, whose stored form has changed.
    """
    state = json.loads((folder / "classifier.json").read_bytes())
    if state["selection"] is not None:
        raise unreadable_model(folder, "a selection in format 1")
    members: dict[MemberName, MemberCard] = {
        "classifier": MemberCard(kind="lightgbm", stem="classifier", reads="ordinal"),
        "one_class": MemberCard(kind="autoencoder", stem="autoencoder", reads="neural"),
    }
    typical = encoder.name_values(state["typical"])
    return card.model_copy(update={"members": members, "typical": typical})


def unreadable_model(folder: Path, cause: object) -> ModelRefusedError:
    """Return the error that says why a model folder cannot be read."""
    message = (
        f"Cannot load the model in {folder}: expected {CARD_FILE}, {ENCODER_FILE}, {TAILS_FILE} "
        "and the files of its detectors as `noctule train` writes them, got: "
        f"{cause}. Restore the folder or train again."
    )
    return ModelRefusedError(message)
