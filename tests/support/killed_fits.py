"""A fit of a challenger that is killed for one recipe.

Each challenger is fitted in its own process, which imports this module: keep its imports few.
"""

import os
from pathlib import Path

from tasks.training.fit import FitSummary, fit_model
from tasks.training.options import TrainingOptions

KILLED_CLASSIFIER = "adaboost"


def fit_or_die(parts: list[Path], contract: str, out: Path, options: TrainingOptions) -> FitSummary:
    """Fit a challenger; kill the process if its classifier is ``KILLED_CLASSIFIER``."""
    if options.classifier.kind == KILLED_CLASSIFIER:
        os._exit(9)
    from expectations.registry import get_contract

    return fit_model(parts, get_contract(contract), out, options)
