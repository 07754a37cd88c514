"""Which encoded columns the classifier reads, when it does not read all features.

Belongs here: the choice and its stored form. Does not belong here: the encoding itself, or the
classifier, which applies a stored choice to its input matrix.
"""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from tasks.encode import Encoder, Mask, Matrix

FOREST_TREES = 100
"""Trees of the ranking forest: scikit-learn's default, and what the method's figures used."""


class Selection(BaseModel):
    """The encoded columns a classifier reads, best first."""

    model_config = ConfigDict(frozen=True)

    method: str
    columns: tuple[str, ...]
    """Neural column names, such as ``src_bytes`` or ``service=http``, by falling importance."""
    importances: tuple[float, ...]
    """Mean decrease in impurity of each; all columns of the encoding would sum to 1."""

    def positions(self, encoder: Encoder) -> npt.NDArray[np.intp]:
        """Return where the columns lie in the encoder's neural matrix, (n_selected,)."""
        position = {name: index for index, name in enumerate(encoder.column_names)}
        return np.array([position[name] for name in self.columns], dtype=np.intp)


def select_by_forest(
    neural: Matrix, is_attack: Mask, encoder: Encoder, top_k: int, seed: int, threads: int = 1
) -> Selection:
    """Rank the encoded columns by a random forest and keep the best.

    Args:
        neural: (n_rows, width), of training rows only.
        is_attack: (n_rows,), both values present.
        encoder: names the columns.
        top_k: how many to keep; all, where there are fewer.
        seed: of the forest.
        threads: used to grow it; does not change the result.

    Returns:
        The ``top_k`` columns, by falling importance, ties in column order.

    Source: Breiman 2001, section 10, with scikit-learn's mean decrease in impurity.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(FOREST_TREES, random_state=seed, n_jobs=threads)
    forest.fit(neural, is_attack)
    order = np.argsort(-forest.feature_importances_, kind="stable")[:top_k]
    return Selection(
        method="forest",
        columns=tuple(encoder.column_names[index] for index in order),
        importances=tuple(float(forest.feature_importances_[index]) for index in order),
    )
