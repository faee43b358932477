"""Who leads a task, and who is not told apart from the leader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.compare import Comparison, compare, corrected
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.paired import LEVEL


@dataclass(frozen=True)
class Leader:
    """The best method of a task, and every other one against it."""

    task: str
    best: Judged
    others: tuple[Judged, ...]  # best first
    against: tuple[Comparison, ...]  # the best less each that shares a seed, Holm over all tasks

    @property
    def score(self) -> float:
        """Return its balanced accuracy on test."""
        return score_of(self.best)

    @property
    def together(self) -> list[str]:
        """Return the methods that were compared with the best and are not told apart from it."""
        return [pair.other for pair in self.against if pair.p_holm > LEVEL or _is_equal(pair)]

    @property
    def behind(self) -> list[str]:
        """Return the methods that are told apart from the best."""
        return [pair.other for pair in self.against if pair.p_holm <= LEVEL]

    @property
    def unknown(self) -> list[str]:
        """Return the methods of which nothing is known: they share one seed with it, or none."""
        known = {*self.together, *self.behind}
        return [other.label for other in self.others if other.label not in known]

    @property
    def marked(self) -> list[str]:
        """Return what bears the mark; nothing where none of the others could be compared."""
        return [self.best.label, *self.together] if self.together or self.behind else []


def leaders_of(tasks: Mapping[str, Sequence[Judged]]) -> list[Leader]:
    """Return the leader of each task in which two methods were judged on the same images.

    Args:
        tasks: The methods of each task, or of several splits of a data set.
    """
    found: list[Leader] = []
    for task, judged in tasks.items():
        if len(judged) < 2:
            continue
        best, *others = sorted(judged, key=lambda method: (-score_of(method), method.label))
        try:
            pairs, _ = compare(best, others, best.clusters, (PRIMARY.name,))
        except UserError:  # judged on other images
            continue
        found.append(Leader(task, best, tuple(others), tuple(pairs)))
    family = iter(corrected([pair for leader in found for pair in leader.against]))
    return [
        replace(leader, against=tuple(next(family) for _ in leader.against)) for leader in found
    ]


def _is_equal(pair: Comparison) -> bool:
    """Return whether two methods were right on the same images in several runs: that has no p."""
    return pair.tested.n_seeds > 1 and pair.only_first == pair.only_other == 0


def score_of(judged: Judged) -> float:
    """Return the mean over splits, seeds and the classes with images of the recall."""
    if judged.splits:
        return sum(map(score_of, judged.splits)) / len(judged.splits)
    recalls = [judged.right[judged.labels == c].mean() for c in sorted({*judged.labels.tolist()})]
    return float(sum(recalls) / len(recalls))
