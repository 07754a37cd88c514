"""Teaching the second stage: families of attack, and how sure it must be to name one.

Belongs here: which attacks teach it, its probabilities on attacks it had not met, and the cut. Does
not belong here: the trees (see ``detectors.family``), or whether a connection is flagged.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from tasks.arrays import Floats
from tasks.detectors.family import (
    FamilyCard,
    FamilyModel,
    fit_trees,
    probabilities,
    raw_outputs,
)
from tasks.features.encoding import Encoder
from tasks.training.rows import TrainingRows
from tasks.training.threshold_choice import NOVEL_SHARE

FAMILY_MIN_ROWS = 20
"""Fewest different attacks that teach a family. A guess: with fewer, the held-out ones say nothing
of it."""

CUT_PRECISION = 0.95
"""Share of the named connections whose family is to be the right one: a guess. A wrong name sends
an analyst the wrong way; ``unknown`` costs a minute."""

TEMPERATURES = np.geomspace(0.5, 20.0, 60)
"""Where the temperature is looked for."""


class FamilyMetrics(BaseModel):
    """How well families are told apart, by trees that had not met the attack.

    ``known`` are attacks of a name that taught the trees, of other rows; ``novel`` are attacks of a
    name that did not. Every name counts the same among the novel, every row among the known. No row
    is judged by a temperature and a cut that it helped to choose, and no novel name by ones that
    its rows did.
    """

    model_config = ConfigDict(frozen=True)

    families: tuple[str, ...]
    cut: float
    known_named: float
    """Share of known attacks that get a family."""
    known_right: float | None
    """Share of those whose family is the right one; None where none is named."""
    novel_named: float | None
    """The same of attacks of a held-out name; None where none could be held out."""
    novel_right: float | None


@dataclass(frozen=True)
class _HeldOut:
    """Outputs for attacks by trees that had not met them."""

    raw: Floats
    """(n, n_families)."""
    family: npt.NDArray[np.intp]
    """(n,), the right one."""
    weight: Floats
    """(n,), sums to 1."""
    is_novel: npt.NDArray[np.bool_]
    """(n,), whether no attack of the same name taught the trees."""
    name: npt.NDArray[np.str_]
    """(n,), of the attack."""
    fold: npt.NDArray[np.intp]
    """(n,), of its row; a row stands here once as known and perhaps once as novel."""

    def only(self, keep: npt.NDArray[np.bool_]) -> "_HeldOut":
        """Return some of them."""
        return _HeldOut(*(getattr(self, field.name)[keep] for field in fields(self)))


def fit_families(
    rows: TrainingRows,
    contract: Contract,
    encoder: Encoder,
    fold: npt.NDArray[np.intp],
    seed: int,
    threads: int,
) -> tuple[FamilyModel, FamilyMetrics] | None:
    """Fit the second stage on the attacks whose family is known.

    Args:
        rows: the training rows.
        contract: says of which family an attack is, and which technique that is.
        encoder: of the model that serves.
        fold: (n_rows,), each row's fold.
        seed: of the trees.
        threads: used to fit; does not change the result.

    Returns:
        The trees and how good they are; None where fewer than two families could be taught.
    """
    known = contract.families or {}
    if rows.attacks is None or not known:
        return None
    of_row = np.array([known.get(str(name), "") for name in rows.attacks])
    of_row[~rows.is_attack] = ""
    names, counts = np.unique(of_row[np.unique(rows.alike)], return_counts=True)
    families = tuple(
        str(name)
        for name, count in zip(names, counts, strict=True)
        if name and count >= FAMILY_MIN_ROWS
    )
    if len(families) < 2:  # noqa: PLR2004 - there is nothing to tell apart
        return None
    teaches = np.isin(of_row, families)
    ordinal = encoder.encode(rows.features.filter(teaches)).ordinal
    family = np.searchsorted(np.array(families), of_row[teaches]).astype(np.intp)
    held_out = _hold_out(ordinal, family, rows.attacks[teaches], fold[teaches], seed, threads)
    temperature, cut = _choose(held_out)
    techniques = {one: (contract.techniques or {}).get(one) for one in families}
    card = FamilyCard(
        families=families,
        temperature=temperature,
        cut=cut,
        techniques={one: technique for one, technique in techniques.items() if technique},
    )
    booster = fit_trees(ordinal, family, len(families), seed, threads)
    return FamilyModel(card, booster, threads), _judge(card, held_out)


def _hold_out(
    ordinal: npt.NDArray[np.float32],
    family: npt.NDArray[np.intp],
    names: npt.NDArray[np.str_],
    fold: npt.NDArray[np.intp],
    seed: int,
    threads: int,
) -> _HeldOut:
    """Give every attack to trees that met neither it nor, once, any of its name.

    The trees of a fold are taught without its rows and without all attacks of some names: those
    names are new to them, and the fold's other rows are not. A family keeps at least one name.
    """
    folds = int(fold.max()) + 1
    group = _deal_names(names, family, folds)
    raw, right, is_novel, label, folds_of = [], [], [], [], []
    families = int(family.max()) + 1
    for held_out in range(folds):
        hidden = np.isin(names, [name for name, one in group.items() if one == held_out])
        taught = (fold != held_out) & ~hidden
        judged = (fold == held_out) | hidden
        booster = fit_trees(ordinal[taught], family[taught], families, seed, threads)
        raw.append(raw_outputs(booster, ordinal[judged], threads))
        right.append(family[judged])
        is_novel.append(hidden[judged])
        label.append(names[judged])
        folds_of.append(fold[judged])
    novel, name = np.concatenate(is_novel), np.concatenate(label)
    weight = np.zeros(len(novel))
    share = NOVEL_SHARE if novel.any() else 0.0
    weight[~novel] = (1.0 - share) / max((~novel).sum(), 1)
    hidden_names = np.unique(name[novel])
    for one in hidden_names:
        of_name = novel & (name == one)
        weight[of_name] = share / len(hidden_names) / of_name.sum()
    return _HeldOut(
        raw=np.concatenate(raw),
        family=np.concatenate(right),
        weight=weight / weight.sum(),
        is_novel=novel,
        name=name,
        fold=np.concatenate(folds_of),
    )


def _deal_names(
    names: npt.NDArray[np.str_], family: npt.NDArray[np.intp], folds: int
) -> dict[str, int]:
    """Deal the names of each family to the folds that do without them, the most frequent first.

    No fold hides all of a family: one of a single name keeps it.
    """
    group: dict[str, int] = {}
    for one in np.unique(family):
        found, counts = np.unique(names[family == one], return_counts=True)
        if len(found) < 2:  # noqa: PLR2004 - its one name stays
            continue
        ordered = found[np.argsort(-counts, kind="stable")]
        group |= {str(name): index % folds for index, name in enumerate(ordered)}
    return group


def _choose(held_out: _HeldOut) -> tuple[float, float]:
    """Choose the temperature and the cut."""
    temperature = _choose_temperature(held_out)
    chance = probabilities(held_out.raw, temperature)
    is_right = chance.argmax(axis=1) == held_out.family
    return temperature, choose_cut(chance.max(axis=1), is_right, held_out.weight)


def _choose_temperature(held_out: _HeldOut) -> float:
    """Choose the temperature under which the right families are likeliest."""
    at = np.arange(len(held_out.family))
    losses = [
        -(held_out.weight * np.log(probabilities(held_out.raw, one)[at, held_out.family] + 1e-12))
        for one in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin([loss.sum() for loss in losses]))])


def choose_cut(highest: Floats, is_right: npt.NDArray[np.bool_], weight: Floats) -> float:
    """Choose the lowest probability from which on enough of the names are right.

    Args:
        highest: (n,), the probability of the likeliest family.
        is_right: (n,), whether it is the right one.
        weight: (n,), of each attack.

    Returns:
        The cut; above 1 where no cut makes ``CUT_PRECISION`` of the names right.
    """
    order = np.argsort(-highest, kind="stable")
    named = np.cumsum(weight[order])
    right = np.cumsum(weight[order] * is_right[order])
    last_of_tie = np.append(np.diff(highest[order]) != 0, [True])
    good = np.flatnonzero(last_of_tie & (right >= CUT_PRECISION * named))
    return float(highest[order][good[-1]]) if len(good) else 2.0


def _judge(card: FamilyCard, held_out: _HeldOut) -> FamilyMetrics:
    """Judge the known rows of each fold, and each novel name, by what the others choose."""
    novel = held_out.is_novel
    is_named, is_right = np.zeros(len(novel), np.bool_), np.zeros(len(novel), np.bool_)
    for one in np.unique(held_out.fold[~novel]):
        _judge_some(held_out, held_out.fold == one, ~novel, is_named, is_right)
    for one in np.unique(held_out.name[novel]):
        _judge_some(held_out, held_out.name == one, novel, is_named, is_right)

    def share(of: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float | None:
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


def _judge_some(
    held_out: _HeldOut,
    hidden: npt.NDArray[np.bool_],
    of: npt.NDArray[np.bool_],
    is_named: npt.NDArray[np.bool_],
    is_right: npt.NDArray[np.bool_],
) -> None:
    """Say which of the hidden attacks are named, and rightly, by what the others choose."""
    judged = hidden & of
    temperature, cut = _choose(held_out.only(~hidden))
    chance = probabilities(held_out.raw[judged], temperature)
    is_named[judged] = chance.max(axis=1) >= cut
    is_right[judged] = chance.argmax(axis=1) == held_out.family[judged]
