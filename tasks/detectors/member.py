"""One of the detectors of a model, with what stands before it: which form of the rows it reads.

Belongs here: from encoded rows to a detector's inputs, and from its explanation back to features.
Does not belong here: how several detectors are joined (``model``), or any one of them.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from tasks.arrays import Floats, Matrix
from tasks.detectors.autoencoder import Autoencoder
from tasks.detectors.base import Detector, Positions, normalise, occlude
from tasks.detectors.registry import InputForm, load_detector
from tasks.features.encoding import Encoded, Encoder
from tasks.features.selection import ColumnSubset, Selection, load_selection

MemberName = Literal["classifier", "one_class"]
"""A model has one detector of each: one that knows attacks, and one that knows normal traffic."""

MEMBER_NAMES: tuple[MemberName, ...] = get_args(MemberName)


class MemberCard(BaseModel):
    """What ``model.json`` says of a member."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """Of the detector; see ``tasks.detectors.registry``."""
    stem: str
    """What its files' names begin with."""
    reads: InputForm
    is_selected: bool = False
    """Whether it reads a selection, in ``<stem>-selection.*``."""


@dataclass(frozen=True)
class Attribution:
    """Which features made a detector score some connections as it did."""

    shares: Floats
    """(n_rows, n_features), nonnegative: each feature's part of what raised the score. A row sums
    to 1, or to 0 where nothing raised it."""
    expected: Floats
    """(n_rows, n_features), in the form of ``Encoded.ordinal``: what the detector would have found
    unremarkable."""


@dataclass(frozen=True)
class Member:
    """A detector and what it reads."""

    name: MemberName
    """Begins the names of its columns, ``<name>_score`` and ``<name>_tail``."""
    detector: Detector
    encoder: Encoder
    reads: InputForm
    typical: Encoded
    """One row: the ordinary normal connection."""
    selection: Selection | None = None

    @property
    def reason_name(self) -> str:
        """Its name in reasons: ``classifier``, or the kind of the one-class detector."""
        return self.name if self.name == "classifier" else self.detector.kind

    def inputs(self, encoded: Encoded) -> Matrix:
        """Return what the detector reads, (n_rows, n_inputs)."""
        matrix = select_form(encoded, self.reads)
        return matrix if self.selection is None else self.selection.transform(matrix)

    def score(self, encoded: Encoded) -> Floats:
        """Score connections: raw, (n_rows,), higher is more anomalous."""
        return self.detector.anomaly_scores(self.inputs(encoded))

    @cached_property
    def _groups(self) -> Positions:
        """Position in the encoder's features of each column of the form it reads."""
        if self.reads == "neural":
            return self.encoder.sources
        return np.arange(len(self.encoder.features), dtype=np.intp)

    def attribute(self, encoded: Encoded) -> Attribution:
        """Say which features raised the scores of these connections."""
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
        else:  # made of all columns: only the columns themselves mean something
            made = self.selection.transform
            weights = occlude(
                lambda rows: self.detector.anomaly_scores(made(rows)), matrix, typical, self._groups
            )
        shares = np.zeros((len(matrix), len(self.encoder.features)))
        shares[:, : weights.shape[1]] = normalise(weights)
        return Attribution(shares, self._expect(encoded))

    def _expect(self, encoded: Encoded) -> Floats:
        """Return what would have been unremarkable: rebuilt by a network, or the ordinary value."""
        if isinstance(self.detector, Autoencoder) and self.selection is None:
            return self.encoder.decode(self.detector.expect(select_form(encoded, self.reads)))
        return np.tile(self.typical.ordinal.astype(np.float64), (len(encoded.ordinal), 1))

    def save(self, folder: Path) -> MemberCard:
        """Write the detector's files and its selection's."""
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
