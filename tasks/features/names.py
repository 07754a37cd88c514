"""The names of selections, for commands that must not import them.

Belongs here: the names. Does not belong here: their meaning (``selection``).
"""

from typing import Literal, get_args

SelectionName = Literal["none", "forest", "rfe", "pca", "autoencoder", "uncorrelated"]
"""``forest``: the columns a random forest ranks highest; ``rfe``: recursive feature elimination;
``pca``: principal components; ``autoencoder``: the codes of an autoencoder; ``uncorrelated``:
without columns that strongly correlate with an earlier one."""

SELECTIONS: tuple[SelectionName, ...] = get_args(SelectionName)
