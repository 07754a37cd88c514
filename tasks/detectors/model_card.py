"""The card of a model: what ``model.json`` says of it, which commands read without the model.

Belongs here: the card and its formats. Does not belong here: the model itself (``model``), or the
manifest and the register of versions (``storage``).
"""

import json
from pathlib import Path

from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import ModelRefusedError
from storage.model_store import FINGERPRINT
from tasks.detectors.member import MemberCard, MemberName
from tasks.detectors.thresholds import OPERATING_POINTS, OperatingPointName, Thresholds
from tasks.features.encoding import Encoder
from tasks.features.values import Value
from tasks.wording import some_of

CARD_FILE = "model.json"
ENCODER_FILE = "encoder.json"
TAILS_FILE = "tails.json"

TRAINING_FILE = "training.json"
"""What the fit was given; the model's hash leaves it out."""

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


def require_contract(folder: Path, contract: Contract) -> None:
    """Refuse to score connections of a contract with a model that reads other numbers.

    An earlier version of Noctule stored no fingerprint with a model: there the names of the
    features decide, and which of them are categories.

    Raises:
        ModelRefusedError: the model is of another contract, or the contract's features have changed
            since; or the model cannot be read.
    """
    card = read_card(folder)
    if card.contract != contract.name:
        message = (
            f"Cannot score connections of contract {contract.name} with model {folder.name}: it was"
            f" trained on contract {card.contract}. Name a model of {contract.name}: `noctule"
            " models` lists them. Nothing was stored."
        )
        raise ModelRefusedError(message)
    try:
        path = folder / TRAINING_FILE
        stored = json.loads(path.read_bytes()).get(FINGERPRINT) if path.exists() else None
        encoder = Encoder.model_validate_json((folder / ENCODER_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise unreadable_model(folder, error) from error
    named = {category.name for category in encoder.categories}
    fitted = {name: name in named for name in encoder.features}
    declared = {column.name: column.is_categorical for column in contract.features}
    if stored == contract.feature_fingerprint or (stored is None and fitted == declared):
        return
    changed = sorted(
        name for name in fitted.keys() | declared if fitted.get(name) != declared.get(name)
    )
    what = some_of(changed) if changed else "the unit, kind or missing values of some of them"
    message = (
        f"Cannot score with model {folder.name}: the features of contract {contract.name} have"
        f" changed since it was trained ({what}). Train again: noctule train FILE; or put the"
        " contract's page back as it was. Nothing was stored."
    )
    raise ModelRefusedError(message)


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
