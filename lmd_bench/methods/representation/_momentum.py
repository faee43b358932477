"""Momentum contrast: a teacher's embeddings of second views, and a queue of those before."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.views import Views
from lmd_bench.methods.representation._base import Representation
from lmd_bench.methods.representation._contrastive import Projection

Keys = Float[Tensor, "keys dims"]
KeyLabels = Int64[Tensor, " keys"]  # -1: the place is still empty


class Queue:
    """The last `size` keys and their labels."""

    def __init__(self, size: int, n_dims: int, device: torch.device) -> None:
        """Start empty."""
        self.keys = torch.zeros(size, n_dims, device=device)
        self.labels = torch.full((size,), -1, dtype=torch.long, device=device)

    def push(self, keys: Keys, labels: KeyLabels) -> None:
        """Put new keys in front; the oldest fall out."""
        size = len(self.labels)
        self.keys = torch.cat([keys.detach(), self.keys])[:size]
        self.labels = torch.cat([labels, self.labels])[:size]


class MomentumContrast(Representation):
    """Student and teacher with a projection each; `config` has n_dims, queue_size and EMA."""

    def prepare(self) -> None:
        """Make the projections, the teacher, a copy that takes no gradient, and the queue."""
        width = self.model.head.get_parameter("weight").shape[1]
        device = self.class_counts.device
        seed = derive_seed(self.seed, "projection")
        self.projection = Projection(width, self.config.n_dims, seed).to(device)
        self.extra.append(self.projection)
        both = nn.ModuleList([self.model.encoder, self.projection])
        self.student = both.parameters
        self.teacher = copy.deepcopy(both).requires_grad_(False).train()
        self.queue = Queue(self.config.queue_size, self.config.n_dims, device)
        self.waiting: list[tuple[Keys, KeyLabels]] = []  # of this step, for the queue

    @torch.no_grad()
    def keys(self, images: Views) -> Keys:
        """Return the teacher's embeddings."""
        encoder, projection = self.teacher
        features = encoder(images).float()
        with torch.autocast(features.device.type, enabled=False):
            return projection(features)

    def keep(self, keys: Keys, labels: KeyLabels) -> None:
        """Have keys wait for the end of the step; a second pass over a batch has no new ones."""
        if not self.uphill:
            self.waiting.append((keys, labels))

    def take(self, keys: Keys, labels: KeyLabels) -> None:
        """Learn from what waited, once the step is done."""
        self.queue.push(keys, labels)

    def after_step(self, step: int) -> None:
        """Take what waited, and move the teacher towards the student."""
        for keys, labels in self.waiting:
            self.take(keys, labels)
        self.waiting.clear()
        share = 1.0 - ema_alpha(step, ema_decay(self.config, self.n_steps))
        move_towards(self.teacher.parameters(), self.student(), share)


def unit_rows(n_rows: int, n_dims: int, rng: torch.Generator) -> Float[Tensor, "rows dims"]:
    """Return random rows of length 1."""
    return F.normalize(torch.randn(n_rows, n_dims, generator=rng), dim=1)


def ema_decay(config: Any, n_steps: int) -> float:
    """Return the decay of a teacher: `ema_decay` where it is set, else by `ema_horizon`.

    The horizon is the share of training that the teacher averages over. An absolute decay means
    another teacher in each budget: .999 averages over the last 1,000 steps, so in a training of
    fewer it is the mean of all iterates from the first random weights on.
    """
    if config.ema_decay > 0:
        return config.ema_decay
    return max(0.0, 1.0 - 1.0 / (config.ema_horizon * n_steps))


def ema_alpha(step: int, decay: float) -> float:
    """Return the share of the teacher kept after step `step` (from 0); 0 first: a copy."""
    return min(1.0 - 1.0 / (step + 1), decay)


@torch.no_grad()
def move_towards(teacher: Iterable[Tensor], student: Iterable[Tensor], share: float) -> None:
    """Replace each t of the teacher by (1 - share) t + share s, in place."""
    # One call for all: each by itself is a kernel that the CPU has to launch.
    both = list(teacher), list(student)
    torch._foreach_lerp_(*both, share)  # pyright: ignore[reportPrivateUsage]
