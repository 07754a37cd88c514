"""Groups of attacks that are held out in turn: families, names of attacks, or clusters.

Belongs here: which attack is in which group, and which groups are large enough to be held out.
Does not belong here: fitting and scoring without a group (``held_out``).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from expectations.contract import Contract
from tasks.arrays import Mask
from tasks.evaluation.labels import name_families
from tasks.training.members import fit_encoder
from tasks.training.rows import TrainingRows

GROUP_MIN_ROWS = 30
"""Fewest attacks that a group must have to be held out, and that must be left without it. A guess:
the recall of fewer rows says little."""

MIN_NAMED = 0.5
"""Least share of the attacks that must have a name for groups to be made by name. A guess. A fit
without a group leaves out the attacks without a name as well, so with few names it learns little.
"""

MAX_GROUPS = 12
"""Most groups of one grouping that are held out, the largest first: each costs a fit."""

CLUSTERS = 5
"""Groups made by clustering where too few attacks have a name. A guess, near the number of families
in the literature."""

CLUSTER_SAMPLE = 5_000
"""Attacks that the clustering is fitted on; the others join the nearest centre."""

GroupSource = Literal["family", "attack", "cluster"]


@dataclass(frozen=True)
class AttackGroups:
    """One grouping of the attacks."""

    made_from: GroupSource
    """The attack's family, its name, or clusters of the encoded attacks."""
    of_row: npt.NDArray[np.str_]
    """(n_rows,), the group's name; empty for normal rows, and for attacks without a name."""
    held_out: tuple[str, ...]
    """The groups that are held out, the largest first; may be empty."""

    def may_belong(self, group: str, is_attack: Mask) -> Mask:
        """Return the rows to leave out of a fit that must not learn of a group, (n_rows,).

        Those are the rows of the group, and the attacks of no group: any of them may belong to it.
        """
        hidden: Mask = (self.of_row == group) | (is_attack & (self.of_row == ""))
        return hidden


def group_attacks(rows: TrainingRows, contract: Contract, seed: int) -> tuple[AttackGroups, ...]:
    """Group the attacks by family and by name, or by clusters where too few have a name.

    An attack without a name is in no group, unless the groups are clusters. They need the seed.

    Returns:
        The groupings, the coarsest first; one of them where each family has one name, as both are
        the same then, or where no family can be held out. No group is held out where too few
        attacks would be left.
    """
    if not rows.is_labelled:
        return (AttackGroups("cluster", np.full(rows.count, ""), ()),)
    is_named = rows.is_attack & (rows.attacks != "")
    if rows.attacks is None or is_named.sum() < MIN_NAMED * rows.is_attack.sum():
        clusters = np.full(rows.count, "", dtype=object)
        clusters[rows.is_attack] = _cluster(rows, seed)
        return (_choose_groups("cluster", clusters.astype(np.str_)),)
    names = np.where(is_named, rows.attacks, "")
    by_name = _choose_groups("attack", names)
    if not contract.families:
        return (by_name,)
    families = {"": "", **name_families(map(str, np.unique(names[names != ""])), contract)}
    of_row = np.array([families[str(name)] for name in names])
    by_family = _choose_groups("family", of_row)
    if len(families) == len(set(families.values())):
        return (by_family,)
    if by_name.held_out and not by_family.held_out:
        return (by_name,)
    return by_family, by_name


def _choose_groups(made_from: GroupSource, of_row: npt.NDArray[np.str_]) -> AttackGroups:
    """Choose the groups that are large enough to be held out, and leave enough other attacks."""
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
    """Return the name of each attack's k-means cluster, (n_attacks,)."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    encoder = fit_encoder(rows, np.ones(rows.count, dtype=np.bool_))
    neural = encoder.encode(rows.features.filter(rows.is_attack)).neural
    sample = neural[np.random.default_rng(seed).permutation(len(neural))[:CLUSTER_SAMPLE]]
    with threadpool_limits(1):  # several threads add in another order from run to run
        clusters = KMeans(CLUSTERS, n_init=4, random_state=seed).fit(sample).predict(neural)
    return np.char.add("cluster ", (clusters + 1).astype(np.str_))
