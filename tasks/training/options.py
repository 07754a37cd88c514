"""The options by which a model is fitted.

Belongs here: the options, their defaults and their limits. Does not belong here: the names of the
detectors (``tasks.detectors.names``), or a fit.
"""

from pydantic import BaseModel, Field, field_validator, model_validator

from expectations.errors import UsageError
from tasks.detectors.autoencoder import AutoencoderOptions
from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.detectors.registry import ClassifierOptions, OneClassOptions
from tasks.features.names import SelectionName
from tasks.features.selection import SIZES

SERVED = LightGBMOptions(outliers=0.5)
"""The classifier of a model by default. A study leaves out the made-up outliers: they help to find
new attacks, and a random split has none."""


class TrainingOptions(BaseModel, frozen=True, extra="forbid"):
    """How a model is fitted."""

    seed: int = 42
    """Seed of folds, trees, weights and samples."""
    threads: int = Field(default=1, ge=1)
    """Threads of the trees and of selection. The result is the same for any number."""
    folds: int = Field(default=4, ge=2, le=10)
    """Parts that the rows are dealt into; each is scored by models fitted on the others. At most
    ten, so that each part of the smallest labelled file has five different normal rows."""
    selection: SelectionName = "none"
    """What the classifier reads instead of all features; see ``tasks.features.selection``."""
    top_k: int | None = Field(default=None, ge=1)
    """Columns that the selection gives; None for its own default."""
    classifier: ClassifierOptions = SERVED
    """The supervised detector, and how it is fitted."""
    one_class: OneClassOptions = AutoencoderOptions()
    """The detector that is fitted on normal traffic only, and how."""

    @field_validator("classifier", mode="before")
    @classmethod
    def _serve(cls, given: object) -> object:
        """Read the kind alone as ``SERVED``."""
        return SERVED if given == {"kind": "lightgbm"} else given

    @model_validator(mode="after")
    def _require_selection(self) -> "TrainingOptions":
        """Refuse a number of columns where no selection gives that number."""
        if self.top_k is not None and self.selection not in SIZES:
            message = (
                f"Cannot train with top_k={self.top_k} and selection={self.selection!r}: top_k is"
                f" the number of columns that {', '.join(SIZES)} give. Use one of these selections,"
                " or leave out top_k"
            )
            raise UsageError(message)
        return self
