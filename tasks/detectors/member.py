"""A member of a model: one of its detectors, with the form of the encoded rows that it reads.

Belongs here: making a detector's inputs from encoded rows, and features from its explanation. Does
not belong here: how scores are joined (``model``), or any one detector.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel

from tasks.arrays import Floats, Matrix, Positions
from tasks.detectors.autoencoder import Autoencoder
from tasks.detectors.base import Detector, normalise, occlude
from tasks.detectors.registry import InputForm, load_detector
from tasks.features.encoding import Encoded, Encoder
from tasks.features.selection import ColumnSubset, Selection, load_selection

MemberName = Literal["classifier", "one_class"]
"""A model has one detector of each name: the classifier is fitted on attacks and normals, the
one-class detector on normals only."""

MEMBER_NAMES: tuple[MemberName, ...] = get_args(MemberName)


class MemberCard(BaseModel, frozen=True):
    """The entry of a member in ``model.json``."""

    kind: str
    """Kind of the detector; see ``tasks.detectors.registry``."""
    stem: str
    """Begins the names of its files."""
    reads: InputForm
    is_selected: bool = False
    """Whether it reads a selection, stored in ``<stem>-selection.*``."""


@dataclass(frozen=True)
class Attribution:
    """The features that raised a detector's scores of some connections."""

    shares: Floats
    """(n_rows, n_features), nonnegative: each feature's share in raising the score. A row sums to
    1, or to 0 where no feature raised it."""
    expected: Floats
    """(n_rows, n_features), in the form of ``Encoded.ordinal``: values that the detector would have
    scored as normal."""


@dataclass(frozen=True)
class Member:
    """A detector, and the inputs that it reads."""

    name: MemberName
    """Begins the names of its columns, ``<name>_score`` and ``<name>_tail``."""
    detector: Detector
    encoder: Encoder
    reads: InputForm
    typical: Encoded
    """One row: the typical normal connection."""
    selection: Selection | None = None

    @property
    def reason_name(self) -> str:
        """Its name in reasons: ``classifier``, or the kind of the one-class detector."""
        return self.name if self.name == "classifier" else self.detector.kind

    def inputs(self, encoded: Encoded) -> Matrix:
        """Return the detector's inputs, (n_rows, n_inputs)."""
        matrix = select_form(encoded, self.reads)
        return matrix if self.selection is None else self.selection.transform(matrix)

    def score(self, encoded: Encoded) -> Floats:
        """Return raw scores, (n_rows,), higher is more anomalous."""
        return self.detector.anomaly_scores(self.inputs(encoded))

    @cached_property
    def _groups(self) -> Positions:
        """Position in the encoder's features of each column of the form it reads."""
        if self.reads == "neural":
            return self.encoder.sources
        return np.arange(len(self.encoder.features), dtype=np.intp)

    def attribute(self, encoded: Encoded) -> Attribution:
        """Return the features that raised the scores of these connections."""
        matrix = select_form(encoded, self.reads)
        typical = select_form(self.typical, self.reads)
        if self.selection is None:
            weights = self.detector.explain(matrix, typical, self._groups)
        elif isinstance(self.selection, ColumnSubset):
            weights = self.detector.explain(
                self.selection.transform(matrix),
                self.selection.transform(typical),
                self._groups[self.selection.positions],
            )
        else:  # a projection of all columns: explain by the columns, which have a meaning
            project = self.selection.transform
            weights = occlude(
                lambda rows: self.detector.anomaly_scores(project(rows)),
                matrix,
                typical,
                self._groups,
            )
        shares = np.zeros((len(matrix), len(self.encoder.features)))
        shares[:, : weights.shape[1]] = normalise(weights)
        return Attribution(shares, self._expect(encoded))

    def _expect(self, encoded: Encoded) -> Floats:
        """Return the expected values: those an autoencoder rebuilds, or the typical ones."""
        if isinstance(self.detector, Autoencoder) and self.selection is None:
            return self.encoder.decode(self.detector.expect(select_form(encoded, self.reads)))
        return np.tile(self.typical.ordinal.astype(np.float64), (len(encoded.ordinal), 1))

    def save(self, folder: Path) -> MemberCard:
        """Write the files of the detector and its selection."""
        stem = self.name
        self.detector.save(folder, stem)
        if self.selection is not None:
            self.selection.save(folder, f"{stem}-selection")
        return MemberCard(
            kind=self.detector.kind,
            stem=stem,
            reads=self.reads,
            is_selected=self.selection is not None,
        )

    @classmethod
    def load(
        cls,
        folder: Path,
        name: MemberName,
        card: MemberCard,
        encoder: Encoder,
        typical: Encoded,
        threads: int = 1,
    ) -> "Member":
        """Read a stored member."""
        return cls(
            name=name,
            detector=load_detector(card.kind, folder, card.stem, threads),
            encoder=encoder,
            reads=card.reads,
            typical=typical,
            selection=(
                load_selection(folder, f"{card.stem}-selection", threads)
                if card.is_selected
                else None
            ),
        )


def select_form(encoded: Encoded, form: InputForm) -> Matrix:
    """Return one of the two matrices of encoded rows."""
    return encoded.ordinal if form == "ordinal" else encoded.neural
