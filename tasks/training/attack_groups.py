"""Groups of attacks that are held out in turn: families, names of attacks, or clusters.

Belongs here: which attack belongs to which group, and which groups are large enough to be held out.
Does not belong here: a fit without a group (``held_out``).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from expectations.contract import Contract
from tasks.arrays import Mask
from tasks.evaluation.labels import family_of
from tasks.training.members import fit_encoder
from tasks.training.rows import TrainingRows

GROUP_MIN_ROWS = 30
"""Fewest attacks a kind must have to be held out, and to be left when another is: a guess; a
recall of fewer rows says little."""


MIN_NAMED = 0.5
"""Least share of the attacks that must have a name for the names to make the kinds: a guess. What
is fitted without a kind does without the nameless as well, so with few names it would know little.
"""


MAX_GROUPS = 12
"""Most kinds held out of a division, the largest first: each costs a fit."""


CLUSTERS = 5
"""Groups made by clustering where too few attacks have a name: a guess, near the number of families
in the literature."""


CLUSTER_SAMPLE = 5_000
"""Attacks that clustering learns from; the others join the nearest centre."""


GroupSource = Literal["family", "attack", "cluster"]


@dataclass(frozen=True)
class AttackGroups:
    """The kinds of attack that are held out in turn."""

    made_from: GroupSource
    """The attack's family, its own name, or clusters of the encoded attacks."""
    of_row: npt.NDArray[np.str_]
    """(n_rows,), the kind's name; empty for normal rows, and for attacks without a name."""
    held_out: tuple[str, ...]
    """The kinds large enough to be held out, largest first; may be empty."""

    def may_be(self, kind: str, is_attack: Mask) -> Mask:
        """Tell which rows must be kept from what is to know nothing of a kind.

        Those are its own and the attacks of no kind, each of which may be one more of it.
        """
        hidden: Mask = (self.of_row == kind) | (is_attack & (self.of_row == ""))
        return hidden


def group_attacks(rows: TrainingRows, contract: Contract, seed: int) -> tuple[AttackGroups, ...]:
    """Divide the attacks into kinds that can be held out in turn.

    By family and again by name, where the files name their attacks; by clusters of the encoded
    attacks where they do not. An attack without a name is of no kind, unless so many have none that
    all are clustered.

    Args:
        rows: all training rows.
        contract: its families, where the rows name their attacks.
        seed: of the clustering, where they do not.

    Returns:
        The divisions, the coarsest first; in each, no kind is held out where too few attacks would
        be left without it.
    """
    if not rows.is_labelled:
        return (AttackGroups("cluster", np.full(rows.count, ""), ()),)
    is_named = rows.is_attack & (rows.attacks != "")
    if rows.attacks is None or is_named.sum() < MIN_NAMED * rows.is_attack.sum():
        clusters = np.full(rows.count, "", dtype=object)
        clusters[rows.is_attack] = _cluster(rows, seed)
        return (_choose_kinds("cluster", clusters.astype(np.str_)),)
    names = np.where(is_named, rows.attacks, "")
    by_name = _choose_kinds("attack", names)
    if contract.families is None:
        return (by_name,)
    families = [family_of(name, contract.families) if name else "" for name in names]
    return (_choose_kinds("family", np.array(families)), by_name)


def _choose_kinds(made_from: GroupSource, of_row: npt.NDArray[np.str_]) -> AttackGroups:
    """Choose the kinds that are large enough to be held out, and leave enough."""
    names, counts = np.unique(of_row[of_row != ""], return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:MAX_GROUPS]
    return AttackGroups(
        made_from=made_from,
        of_row=of_row,
        held_out=tuple(
            str(names[index])
            for index in largest
            if min(counts[index], counts.sum() - counts[index]) >= GROUP_MIN_ROWS
        ),
    )


def _cluster(rows: TrainingRows, seed: int) -> npt.NDArray[np.str_]:
    """Name the k-means cluster of each attack among the encoded attacks, (n_attacks,)."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    encoder = fit_encoder(rows, np.ones(rows.count, dtype=np.bool_))
    neural = encoder.encode(rows.features.filter(rows.is_attack)).neural
    sample = neural[np.random.default_rng(seed).permutation(len(neural))[:CLUSTER_SAMPLE]]
    with threadpool_limits(1):  # sums over threads would differ from run to run
        clusters = KMeans(CLUSTERS, n_init=4, random_state=seed).fit(sample).predict(neural)
    return np.char.add("cluster ", (clusters + 1).astype(np.str_))
