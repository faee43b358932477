"""What one training step is fed: views of a batch, mixed where the config says so, and labels."""

from collections.abc import Callable, Iterable
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

    def parts(
        self, indices: Int64[Tensor, " batch"], step: int, n_parts: int
    ) -> Callable[[], Iterable[tuple[list[Views], Targets]]]:
        """Return what gives the batch in `n_parts` parts, each made when it is needed."""
        if n_parts == 1:
            whole = self.batch(indices, step)
            return lambda: [whole]
        feeds = [replace(self, seed=derive_seed(self.seed, "part", n)) for n in range(n_parts)]
        chunks = indices.tensor_split(n_parts)
        return lambda: (
            feed.batch(chunk, step) for feed, chunk in zip(feeds, chunks, strict=True) if len(chunk)
        )

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
