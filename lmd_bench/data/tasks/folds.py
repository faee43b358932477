"""Protocols `folds_K`: each image of the data is in the test set of one of K splits.

The groups (lesions, patients) of each class are dealt to K folds. Split seed s takes fold s mod K
as test, dealt anew for every K seeds: seeds 0 to K - 1 are one K-fold cross-validation, and K R
seeds repeat it R times. All else is as in `balanced_v2`: val and test take at most 100 images of
each class, so that a fold of a large class is not used in full, and train has the exponential
profile.
"""

from collections import Counter
from dataclasses import dataclass

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import FOLDS
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.balanced import HoldOut, drawn_groups, images_by_class, take_class
from lmd_bench.data.tasks.long_tail import by_count

_VAL = HoldOut(most_val=100, most_test=100)


@dataclass(frozen=True)
class Fold:
    """Holds out one of K folds as test, and val as `balanced_v2` does."""

    n_folds: int

    def held_out(self, table: ImageTable, split_seed: int) -> tuple[dict[str, list[int]], set[str]]:
        """Return the rows of val and test, and all groups that either of them opened.

        Raises:
            UserError: a class lies in fewer groups than there are folds, or in too few for val.
        """
        repeat, fold = divmod(split_seed, self.n_folds)
        counts = images_by_class(table)
        order = list(reversed(by_count(counts)))
        fold_of = self._dealt(table, order, repeat)
        owner = {group: "test" for group, number in fold_of.items() if number == fold}
        taken: dict[str, list[int]] = {"test": [], "val": []}
        wanted = _VAL.wanted(counts)
        for label in order:
            drawn = drawn_groups(table, label, repeat).items()
            inside = [row for group, rows in drawn if owner.get(group) == "test" for row in rows]
            taken["test"] += inside[: _VAL.most_test]
            take_class(table, label, repeat, {"val": wanted[label]["val"], "test": 0}, taken, owner)
        return taken, set(owner)

    def _dealt(self, table: ImageTable, order: list[int], repeat: int) -> dict[str, int]:
        """Return the fold of each group: to the fold that has the fewest images of its class."""
        fold_of: dict[str, int] = {}
        for label in order:
            groups = drawn_groups(table, label, repeat)
            if len(groups) < self.n_folds:
                raise UserError(
                    f"Class '{table.class_names[label]}' lies in {len(groups)} groups, too few "
                    f"for {self.n_folds} folds; give fewer folds."
                )
            n_images = Counter({number: 0 for number in range(self.n_folds)})
            # A group of several classes stays where a rarer class put it.
            for group in sorted(groups, key=lambda group: group not in fold_of):
                number = fold_of.setdefault(group, min(n_images, key=lambda k: (n_images[k], k)))
                n_images[number] += len(groups[group])
        return fold_of


CROSS_VALIDATION = {name: Fold(n_folds) for name, n_folds in FOLDS.items()}
