"""A t-SNE embedding of some rows, in two and three dimensions.

Belongs here: the embedding of a sample. Does not belong here: drawing it (``figures``), or any
conclusion: distances in such a picture mean little.
"""

import numpy as np
from pydantic import BaseModel

from tasks.arrays import Mask, Matrix
from tasks.study.split import SEED

SAMPLE_ROWS = 2_000
"""Rows of the sample; each embedding of so many takes about ten seconds."""


class Embedding(BaseModel, frozen=True):
    """Some rows of the training part, in two (``flat``) and three (``deep``) dimensions."""

    is_attack: tuple[bool, ...]
    flat: tuple[tuple[float, float], ...]
    deep: tuple[tuple[float, float, float], ...]


def embed(inputs: Matrix, is_attack: Mask) -> Embedding:
    """Embed a sample so that near rows stay near.

    Args:
        inputs: (n_rows, width), scaled alike.
        is_attack: (n_rows,).

    Source: van der Maaten & Hinton 2008 (t-SNE), as scikit-learn computes it.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rows = np.sort(np.random.default_rng(SEED).permutation(len(inputs))[:SAMPLE_ROWS])
    perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
    with threadpool_limits(1):
        flat, deep = (
            TSNE(dimensions, random_state=SEED, init="pca", perplexity=perplexity).fit_transform(
                inputs[rows].astype(np.float64)
            )
            for dimensions in (2, 3)
        )
    return Embedding(
        is_attack=tuple(is_attack[rows].tolist()),
        flat=tuple(map(tuple, flat.round(2).tolist())),
        deep=tuple(map(tuple, deep.round(2).tolist())),
    )
