"""What one training step is fed: views of a batch, mixed where the config says so, and labels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import ImageSet, generator
from lmd_bench.data.views import Images, Pixels, make_view
from lmd_bench.data.views.mixing import Mixture, draw_mixture, mix, remixed
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.representation._base import Representation, Targets, WantedView

Labels = Int64[Tensor, " batch"]


@dataclass(frozen=True)
class Feed:
    """How the steps of one training are fed; all that is drawn follows from `seed` and the step."""

    method: Representation
    train_set: ImageSet
    config: TrainingConfig
    seed: int

    def batch(self, indices: Int64[Tensor, " batch"], step: int) -> tuple[list[Images], Targets]:
        """Return the views that the method wants and their targets, for images at `indices`."""
        pixels, labels = self.train_set.batch(indices)
        second = self._second(len(indices), step)
        sources = {"second": second[0]} if second else {}
        views = [
            self._view(wanted, sources.get(wanted, pixels), derive_seed(self.seed, step, n))
            for n, wanted in enumerate(self.method.views)
        ]
        targets = Targets(labels, second=Targets(second[1]) if second else None)
        mixture = self._mixture(pixels, step)
        return (views, targets) if mixture is None else self._mixed(views, targets, mixture, step)

    def parts(
        self, indices: Int64[Tensor, " batch"], step: int, n_parts: int
    ) -> Callable[[], Iterable[tuple[list[Images], Targets]]]:
        """Return what gives the batch in `n_parts` parts, each made when it is needed."""
        if n_parts == 1:
            whole = self.batch(indices, step)
            return lambda: [whole]
        feeds = [replace(self, seed=derive_seed(self.seed, "part", n)) for n in range(n_parts)]
        chunks = indices.tensor_split(n_parts)
        return lambda: (
            feed.batch(chunk, step) for feed, chunk in zip(feeds, chunks, strict=True) if len(chunk)
        )

    def _view(self, wanted: WantedView, pixels: Pixels, seed: int) -> Images:
        return make_view("weak" if wanted == "weak" else self.config.augmentation, pixels, seed)

    def _second(self, n: int, step: int) -> tuple[Pixels, Labels] | None:
        weights = self.method.second_weights()
        return None if weights is None else self._drawn(weights, n, "second", step)

    def _drawn(
        self, weights: Float[Tensor, " classes"], n: int, what: str, step: int
    ) -> tuple[Pixels, Labels]:
        """Return n images drawn with replacement by the weight of an image of each class."""
        rng = generator(derive_seed(self.seed, what, step))
        of_images = weights[self.train_set.labels.cpu()]
        return self.train_set.batch(torch.multinomial(of_images, n, True, generator=rng))

    def _mixture(self, pixels: Pixels, step: int) -> Mixture | None:
        mixing, seed = self.config.mixing, derive_seed(self.seed, "mixing", step)
        if mixing == "none":
            return None
        chance = np.random.default_rng(derive_seed(seed, "whether")).random()
        if chance >= self.config.mixing_probability:
            return None
        size = (pixels.shape[1], pixels.shape[2])
        return draw_mixture(mixing, len(pixels), size, self.config.mixing_alpha, seed)

    def _mixed(
        self, views: list[Images], targets: Targets, mixture: Mixture, step: int
    ) -> tuple[list[Images], Targets]:
        partners = mixture.partners.to(targets.labels.device, non_blocking=True)
        partner_views = [view[partners] for view in views]
        pasted: Labels | None = None
        if self.config.mixing == "cmo":
            # 1 / n_j: each class is pasted as often as any other
            weights = 1.0 / self.method.class_counts.cpu().double()
            pixels, pasted = self._drawn(weights, len(partners), "pasted", step)
            partner_views = [
                self._view(wanted, pixels, derive_seed(self.seed, "pasted", step, n))
                for n, wanted in enumerate(self.method.views)
            ]
        pairs = zip(views, partner_views, strict=True)

        def joined(of: Targets) -> Targets:
            theirs = of.labels[partners] if pasted is None else pasted
            labels = (of.labels, theirs)
            if self.config.mixing == "remix":
                ratio, threshold = self.config.remix_ratio, self.config.remix_threshold
                counts = self.method.class_counts
                labels = remixed(*labels, mixture.share, counts, ratio, threshold)
            return Targets(*labels, mixture.share)

        second = None if targets.second is None else joined(targets.second)
        return [mix(*pair, mixture) for pair in pairs], replace(joined(targets), second=second)
