"""The options by which a model is fitted.

Belongs here: the options, their defaults and their limits. Does not belong here: the names of the
detectors (``tasks.detectors.names``), or a fit.
"""

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from expectations.errors import UsageError
from tasks.detectors.autoencoder_training import AutoencoderOptions
from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.detectors.registry import (
    ClassifierOptions,
    OneClassOptions,
)
from tasks.features.names import SelectionName
from tasks.features.selection import SIZES

SERVED = LightGBMOptions(outliers=0.5)
"""The classifier of a model by default. A study leaves the outliers out: they are for attacks that
a random split has not got."""


class TrainingOptions(BaseModel):
    """How a model is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 42
    """Seed of folds, trees, weights and samples."""
    threads: int = Field(default=1, ge=1)
    """Threads of the trees and of selection. The result is the same for any number."""
    folds: int = Field(default=4, ge=2, le=10)
    """Parts the rows are dealt into; each is scored by models fitted on the others. At most ten, so
    that a part of the smallest training file still holds five different normals."""
    selection: SelectionName = "none"
    """What the classifier reads instead of all features; see ``tasks.features.selection``."""
    top_k: int | None = Field(default=None, ge=1)
    """Columns the selection gives; None for as many as it gives by itself."""
    classifier: ClassifierOptions = SERVED
    """The supervised detector, and how it is fitted."""
    one_class: OneClassOptions = AutoencoderOptions()
    """The detector that knows only normal traffic, and how it is fitted."""

    @field_validator("classifier", mode="before")
    @classmethod
    def _serve(cls, given: object) -> object:
        """Take the kind alone for the options that it is served with."""
        return SERVED if given == {"kind": "lightgbm"} else given

    @model_validator(mode="after")
    def _require_selection(self) -> "TrainingOptions":
        """Refuse a number of columns that nothing would follow, and provenance would tell of."""
        if self.top_k is not None and self.selection not in SIZES:
            message = (
                f"Cannot train with top_k={self.top_k} and selection={self.selection!r}: it is how "
                f"many columns {', '.join(SIZES)} give. Select by one of them, or leave out top_k"
            )
            raise UsageError(message)
        return self
