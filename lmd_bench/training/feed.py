"""What one training step is fed: views of a batch, mixed where the config says so, and labels.

On a GPU the batch of the next step is made in a thread while a step runs: drawing it and launching
its operations takes the CPU as long as the rest of a small step. On a CPU that would gain nothing,
since there views and network share the same cores (benchmarks/README.md).
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import ImageSet, Labels, Pixels, StoredViews, generator
from lmd_bench.data.views import View, Views, make_view
from lmd_bench.data.views.mixing import MIXINGS, Draw
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.representation._base import Representation, Targets, WantedView

# What gives the parts of a batch: views, targets, and the share of the batch's images in the part.
Parts = Callable[[], Iterable[tuple[list[Views], Targets, float]]]


def view_named(wanted: WantedView, config: TrainingConfig) -> View:
    """Return the view that a method gets where it wants one: its own kind, or the config's."""
    return "weak" if wanted == "weak" else config.augmentation


@dataclass(frozen=True)
class Feed:
    """How the steps of one training are fed; all that is drawn follows from `seed` and the step."""

    method: Representation
    train_set: ImageSet
    config: TrainingConfig
    seed: int

    def batch(self, indices: Int64[Tensor, " batch"], step: int) -> tuple[list[Views], Targets]:
        """Return the views that the method wants and their targets, for images at `indices`."""
        pixels, labels = self.train_set.batch(indices)
        second = self._second(len(indices), step)
        sources = {"second": second[0]} if second else {}
        views = [
            self._view(wanted, sources.get(wanted, pixels), derive_seed(self.seed, step, n))
            for n, wanted in enumerate(self.method.views)
        ]
        targets = Targets(labels, second=Targets(second[1]) if second else None)
        return self._mixed(views, targets, step)

    def parts(self, indices: Int64[Tensor, " batch"], step: int, n_parts: int) -> Parts:
        """Return what gives the batch in `n_parts` parts, each made when it is needed."""
        if n_parts == 1:
            whole = (*self.batch(indices, step), 1.0)
            return lambda: [whole]
        feeds = [replace(self, seed=derive_seed(self.seed, "part", n)) for n in range(n_parts)]
        chunks = indices.tensor_split(n_parts)
        return lambda: (
            (*feed.batch(chunk, step), len(chunk) / len(indices))
            for feed, chunk in zip(feeds, chunks, strict=True)
            if len(chunk)
        )

    def steps(
        self, batches: Iterable[Int64[Tensor, " batch"]], first: int, n_parts: int
    ) -> Generator[Parts, None, None]:
        """Yield what each step is fed; close the iterator where its end is not reached.

        Args:
            batches: positions in the train set, on the CPU.
            first: number of the first step.
            n_parts: of each batch.
        """
        numbered = enumerate(batches, first)
        # Where memory ran out a batch is made part by part, and none before its turn.
        if n_parts > 1 or not makes_ahead(self.train_set.labels.device):
            yield from (self.parts(indices, step, n_parts) for step, indices in numbered)
            return
        # Both threads give their work to the same stream, which keeps its order.
        with ThreadPoolExecutor(1, "views") as thread:
            ahead: deque[Future[Parts]] = deque()
            for step, indices in numbered:
                ahead.append(thread.submit(self.parts, indices, step, n_parts))
                if len(ahead) == 2:
                    # In no variable: an error that it holds would hold it, and all its tensors.
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _view(self, wanted: WantedView, pixels: Pixels | StoredViews, seed: int) -> Views:
        return make_view(view_named(wanted, self.config), pixels, seed)

    def _second(self, n: int, step: int) -> tuple[Pixels | StoredViews, Labels] | None:
        weights = self.method.second_weights()
        return None if weights is None else self._drawn(weights, n, "second", step)

    def _drawn(
        self, weights: Float[Tensor, " classes"], n: int, what: str, step: int
    ) -> tuple[Pixels | StoredViews, Labels]:
        """Return n images drawn with replacement by the weight of an image of each class."""
        rng = generator(derive_seed(self.seed, what, step))
        of_images = weights[self.train_set.labels_on_cpu]
        return self.train_set.batch(torch.multinomial(of_images, n, True, generator=rng))

    def _mixed(
        self, views: list[Views], targets: Targets, step: int
    ) -> tuple[list[Views], Targets]:
        """Return the batch with its images joined in pairs, or as it is by chance or config."""
        config, seed = self.config, derive_seed(self.seed, "mixing", step)
        if config.mixing == "none":
            return views, targets
        chance = np.random.default_rng(derive_seed(seed, "whether")).random()
        if chance >= config.mixing_probability:
            return views, targets
        draw = Draw(
            seed=seed,
            alpha=config.mixing_alpha,
            class_counts=self.method.class_counts,
            remix_ratio=config.remix_ratio,
            remix_threshold=config.remix_threshold,
            pasted=lambda n: self._pasted(n, step),
        )
        # The second images of a method lie in the views too, so they take the same partners.
        second = targets.second
        labels = [targets.labels] if second is None else [targets.labels, second.labels]
        mixed = MIXINGS[config.mixing](views, labels, draw)
        first, *others = (Targets(*pair, mixed.share) for pair in mixed.labels)
        return mixed.views, replace(first, second=others[0] if others else None)

    def _pasted(self, n: int, step: int) -> tuple[list[Views], Labels]:
        """Return the views of n images of all classes alike, and their labels."""
        # 1 / n_j: each class is pasted as often as any other
        weights = 1.0 / self.method.counts_on_cpu.double()
        pixels, labels = self._drawn(weights, n, "pasted", step)
        views = [
            self._view(wanted, pixels, derive_seed(self.seed, "pasted", step, n_view))
            for n_view, wanted in enumerate(self.method.views)
        ]
        return views, labels


def makes_ahead(device: torch.device) -> bool:
    """Say whether the batch of the next step is made while a step runs on this device."""
    return device.type != "cpu"
