"""The family model: which attacks it is fitted on, and how sure it must be to name a family.

Belongs here: its rows, its probabilities on attacks that it was not fitted on, and the probability
below which it names none. Does not belong here: its trees (``tasks.detectors.family``), or
whether a connection is flagged.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from expectations.contract import Contract
from tasks.arrays import Floats, Mask
from tasks.detectors.family import (
    UNKNOWN,
    FamilyCard,
    FamilyModel,
    fit_trees,
    probabilities,
    raw_outputs,
)
from tasks.evaluation.labels import name_families
from tasks.features.encoding import Encoder
from tasks.intake.label_words import OTHER_FAMILY
from tasks.training.rows import TrainingRows
from tasks.training.threshold_choice import NOVEL_SHARE

FAMILY_MIN_ROWS = 20
"""Fewest different attacks of a family that is named. A guess: with fewer, the held-out ones say
nothing about it."""

MAX_NAMES = 30
"""Most names that are families where the contract has none, those of most rows. A guess: each costs
a tree in every round."""

NAMED_PRECISION = 0.95
"""Share of the named connections whose family must be right. A guess: a wrong name misleads an
analyst; ``unknown`` costs a minute."""

TEMPERATURES = np.geomspace(0.5, 20.0, 60)
"""Temperatures that are tried."""


class FamilyMetrics(BaseModel, frozen=True):
    """How well families are told apart, by trees that were not fitted on the attack.

    ``known`` attacks have a name that the trees were fitted on, in other rows; ``novel`` attacks
    have a name that they were not fitted on. Each row counts the same among the known, each name
    among the novel. No row is assessed by a temperature and a ``cut`` that it helped to
    choose, and no novel name by ones that its rows helped to choose.
    """

    families: tuple[str, ...]
    cut: float
    """The lowest probability at which a family is named."""
    known_named: float
    """Share of known attacks that get a family."""
    known_right: float | None
    """Share of those whose family is right; None where none is named."""
    novel_named: float | None
    """The same for attacks of a held-out name; None where no name could be held out."""
    novel_right: float | None


@dataclass(frozen=True)
class _HeldOutOutputs:
    """Outputs for attacks by trees that were not fitted on them."""

    raw: Floats
    """(n, n_families)."""
    family: npt.NDArray[np.intp]
    """(n,), the right family of each attack."""
    weight: Floats
    """(n,), sums to 1."""
    is_novel: Mask
    """(n,), whether the trees were fitted on no attack of the same name."""
    name: npt.NDArray[np.str_]
    """(n,), the name of each attack."""
    fold: npt.NDArray[np.intp]
    """(n,), the fold of its row. A row occurs once as known, and perhaps once as novel."""

    def filter(self, keep: Mask) -> "_HeldOutOutputs":
        """Return some of them."""
        return _HeldOutOutputs(*(getattr(self, field.name)[keep] for field in fields(self)))


def fit_families(
    rows: TrainingRows,
    contract: Contract,
    encoder: Encoder,
    fold: npt.NDArray[np.intp],
    seed: int,
    threads: int,
) -> tuple[FamilyModel, FamilyMetrics] | None:
    """Fit the family model on the attacks whose family is known.

    If the contract has no families, each name of an attack is its own, at most ``MAX_NAMES``.
    The encoder is that of the model that serves; ``fold`` is (n_rows,), each row's fold. Threads do
    not change the result.

    Returns:
        The family model and its metrics; None if fewer than two families have enough attacks.
    """
    if rows.attacks is None:
        return None
    known = name_families(map(str, np.unique(rows.attacks)), contract)
    of_row = np.array([known[str(name)] for name in rows.attacks])
    of_row[~rows.is_attack | np.isin(of_row, (OTHER_FAMILY, UNKNOWN))] = ""
    names, counts = np.unique(of_row[np.unique(rows.alike)], return_counts=True)
    enough = np.flatnonzero((names != "") & (counts >= FAMILY_MIN_ROWS))
    if not contract.families:
        largest = enough[np.argsort(-counts[enough], kind="stable")[:MAX_NAMES]]
        enough = np.sort(largest)
    families = tuple(map(str, names[enough]))
    if len(families) < 2:  # noqa: PLR2004 - there is nothing to tell apart
        return None
    keep = np.isin(of_row, families)
    ordinal = encoder.encode(rows.features.filter(keep)).ordinal
    family = np.searchsorted(np.array(families), of_row[keep]).astype(np.intp)
    held_out = _hold_out(ordinal, family, rows.attacks[keep], fold[keep], seed, threads)
    temperature, cut = _choose(held_out)
    techniques = {one: (contract.techniques or {}).get(one) for one in families}
    card = FamilyCard(
        families=families,
        temperature=temperature,
        cut=cut,
        techniques={one: technique for one, technique in techniques.items() if technique},
    )
    booster = fit_trees(ordinal, family, len(families), seed, threads)
    return FamilyModel(card, booster, threads), _assess(card, held_out)


def _hold_out(
    ordinal: npt.NDArray[np.float32],
    family: npt.NDArray[np.intp],
    names: npt.NDArray[np.str_],
    fold: npt.NDArray[np.intp],
    seed: int,
    threads: int,
) -> _HeldOutOutputs:
    """Compute outputs for each attack by trees fitted without it, and by trees without its name.

    For each fold, trees are fitted without its rows and without all attacks of some names. Those
    attacks are novel to the trees; the other rows of the fold are not.
    """
    folds = int(fold.max()) + 1
    group = _deal_names(names, family, folds)
    families = int(family.max()) + 1
    raw, position, is_novel = [], [], []
    for held_out in range(folds):
        hidden = np.isin(names, [name for name, one in group.items() if one == held_out])
        scored = (fold == held_out) | hidden
        booster = fit_trees(ordinal[~scored], family[~scored], families, seed, threads)
        raw.append(raw_outputs(booster, ordinal[scored], threads))
        position.append(np.flatnonzero(scored))
        is_novel.append(hidden[scored])
    at, novel = np.concatenate(position), np.concatenate(is_novel)
    weight = np.zeros(len(novel))
    share = NOVEL_SHARE if novel.any() else 0.0
    weight[~novel] = (1.0 - share) / max((~novel).sum(), 1)
    hidden_names = np.unique(names[at][novel])
    for one in hidden_names:
        of_name = novel & (names[at] == one)
        weight[of_name] = share / len(hidden_names) / of_name.sum()
    return _HeldOutOutputs(
        raw=np.concatenate(raw),
        family=family[at],
        weight=weight / weight.sum(),
        is_novel=novel,
        name=names[at],
        fold=fold[at],
    )


def _deal_names(
    names: npt.NDArray[np.str_], family: npt.NDArray[np.intp], folds: int
) -> dict[str, int]:
    """Deal the names of each family to the folds that leave them out, the most frequent first.

    A family that has one name keeps it in every fold, so that no fold leaves out all of a family.
    """
    group: dict[str, int] = {}
    for one in np.unique(family):
        found, counts = np.unique(names[family == one], return_counts=True)
        if len(found) < 2:  # noqa: PLR2004 - its one name stays
            continue
        ordered = found[np.argsort(-counts, kind="stable")]
        group |= {str(name): index % folds for index, name in enumerate(ordered)}
    return group


def _choose(held_out: _HeldOutOutputs) -> tuple[float, float]:
    """Choose the temperature that makes the right families likeliest, and the least probability."""
    at = np.arange(len(held_out.family))
    losses = [
        -(held_out.weight * np.log(probabilities(held_out.raw, one)[at, held_out.family] + 1e-12))
        for one in TEMPERATURES
    ]
    temperature = float(TEMPERATURES[int(np.argmin([loss.sum() for loss in losses]))])
    chance = probabilities(held_out.raw, temperature)
    is_right = chance.argmax(axis=1) == held_out.family
    return temperature, choose_least_probability(chance.max(axis=1), is_right, held_out.weight)


def choose_least_probability(highest: Floats, is_right: Mask, weight: Floats) -> float:
    """Choose the lowest probability at which a family is named and enough of the names are right.

    All arrays are (n,), a value for each attack: the probability of its likeliest family, whether
    that family is right, and its weight. Returns more than 1 where no probability makes
    ``NAMED_PRECISION`` of the names right.
    """
    order = np.argsort(-highest, kind="stable")
    named = np.cumsum(weight[order])
    right = np.cumsum(weight[order] * is_right[order])
    last_of_tie = np.append(np.diff(highest[order]) != 0, [True])
    good = np.flatnonzero(last_of_tie & (right >= NAMED_PRECISION * named))
    return float(highest[order][good[-1]]) if len(good) else 2.0


def _assess(card: FamilyCard, held_out: _HeldOutOutputs) -> FamilyMetrics:
    """Assess the known rows of each fold, and each novel name, by what the others choose."""
    novel = held_out.is_novel
    is_named, is_right = np.zeros(len(novel), np.bool_), np.zeros(len(novel), np.bool_)

    def name_by_others(hidden: Mask, assessed: Mask) -> None:
        temperature, cut = _choose(held_out.filter(~hidden))
        chance = probabilities(held_out.raw[assessed], temperature)
        is_named[assessed] = chance.max(axis=1) >= cut
        is_right[assessed] = chance.argmax(axis=1) == held_out.family[assessed]

    for one in np.unique(held_out.fold[~novel]):
        hidden = held_out.fold == one
        name_by_others(hidden, hidden & ~novel)
    for one in np.unique(held_out.name[novel]):
        hidden = held_out.name == one
        name_by_others(hidden, hidden & novel)

    def share(of: Mask, among: Mask) -> float | None:
        whole = float(held_out.weight[among].sum())
        return float(held_out.weight[among & of].sum()) / whole if whole else None

    return FamilyMetrics(
        families=card.families,
        cut=card.cut,
        known_named=share(is_named, ~novel) or 0.0,
        known_right=share(is_right, ~novel & is_named),
        novel_named=share(is_named, novel),
        novel_right=share(is_right, novel & is_named),
    )
