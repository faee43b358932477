"""Protocol `no_val`: no balanced val is held out, configurations are chosen on a fold of train.

Test is that of `balanced_v2`. All else is train, cut to the exponential profile; a fifth of it, by
lesion or patient and class by class, is val. So val has the long tail of train: one or two images
of its rarest class, as a clinic that has no more of them would use. Each train set gives a fold of
its own, so val is not the same at every imbalance factor.
"""

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.balanced import HoldOut, cut_by_class
from lmd_bench.data.tasks.split import Split, sorted_rows

N_FOLDS = 5  # of which one is val
_NO_VAL = HoldOut(most_val=0, most_test=100)


def cut_no_val(table: ImageTable, spec: TaskSpec) -> Split:
    """Return the split of `spec`: val is one fold of what `balanced_v2` without val trains on.

    Raises:
        UserError: as for that protocol, or a class lies in a single group of train.
    """
    whole = cut_by_class(table, spec, _NO_VAL)
    owner: dict[str, str] = {}
    val: list[int] = []
    labels = table.labels[whole.train]
    # The rarest class chooses first: it has the fewest groups to choose from.
    for label in np.argsort(np.bincount(labels, minlength=len(table.class_names)), kind="stable"):
        rows_of: dict[str, list[int]] = {}
        for row in whole.train[labels == label].tolist():
            rows_of.setdefault(table.groups[row], []).append(row)
        val += _fold(rows_of, owner, table.class_names[label], spec.split_seed)
    return Split(
        train=sorted_rows(set(whole.train.tolist()) - set(val)),
        val=sorted_rows(val),
        test=whole.test,
    )


def _fold(rows_of: dict[str, list[int]], owner: dict[str, str], name: str, seed: int) -> list[int]:
    """Return a fifth of a class, by whole groups, at least one of them; one stays in train."""
    groups = list(rows_of)
    order = np.random.default_rng(derive_seed(seed, "protocol", "no_val", name))
    drawn = [groups[place] for place in order.permutation(len(groups))]
    # A group of several classes stays where a rarer class put it.
    drawn.sort(key=lambda group: owner.get(group) != "val")
    wanted = max(1, round(sum(map(len, rows_of.values())) / N_FOLDS))
    val: list[int] = []
    for group in drawn:
        is_last = len(groups) - sum(owner.get(other) == "val" for other in groups) <= 1
        takes = len(val) < wanted and not is_last
        if owner.setdefault(group, "val" if takes else "train") == "val":
            val += rows_of[group]
    if not val or all(owner[group] == "val" for group in groups):
        raise UserError(
            f"The training images of class '{name}' lie in {len(groups)} group"
            f"{'' if len(groups) == 1 else 's'}, too few for train and a fold that is val; give a "
            "smaller imbalance factor or a larger n_max, or another protocol than no_val."
        )
    return val
