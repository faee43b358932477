"""The M-step: fits a linear head to class-balanced virtual features of class Gaussians.

Two ways to the same objective, J(W, b) = 1/K sum_k E_{f ~ N(mu_k, Sigma_k)} CE(W f + b, k)
+ decay/2 (|W|^2 + |b|^2):

`sampled`  stochastic gradient steps on fresh draws f = mu + L e, e ~ N(0, I). By associativity the
           logits W f + b = (W mu + b) + (W L) e and the gradient need no feature to be formed: a
           step multiplies L with K rows instead of with the whole batch, and stores nothing.
`expected` A linear head sees a Gaussian only through its K logits, z ~ N(W mu + b, W Sigma W^T).
           With fixed quasi-random normals u, z = W mu + b + chol((W L)(W L)^T) u makes J a smooth
           deterministic function of (W, b) that L-BFGS minimises; samples live in K dimensions
           instead of C. By Stein's lemma its gradient tends to
           dJ/dW = 1/K sum_k E[p - y] mu_k^T + E[diag(p) - p p^T] W Sigma_k.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.calibration._gaussians import ClassGaussians
from lmd_bench.errors import DivergedError

JITTER = 1e-6  # of the mean logit variance, keeps K x K factors defined


def sampled_m_step(
    head: nn.Linear,
    gaussians: ClassGaussians,
    optimiser: torch.optim.Optimizer,
    n_steps: int,
    batch_size: int,
    rng: torch.Generator,
) -> float:
    """Take `n_steps` gradient steps on balanced draws; return the mean cross-entropy."""
    n_classes = len(gaussians.mean)
    n_each = max(1, batch_size // n_classes)
    device = gaussians.mean.device
    labels = torch.arange(n_classes, device=device).repeat_interleave(n_each)
    shape = (n_classes, n_each, gaussians.mean.shape[1])
    total = torch.zeros((), device=device)
    for _ in range(n_steps):
        noise = torch.randn(shape, generator=rng, device=device, dtype=gaussians.mean.dtype)
        spread = noise @ project(head.weight, gaussians.cholesky).mT
        loss = F.cross_entropy((head(gaussians.mean)[:, None, :] + spread).flatten(0, 1), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += loss.detach()
    return float(total) / n_steps


def expected_m_step(
    head: nn.Linear,
    gaussians: ClassGaussians,
    decay: float,
    n_iterations: int = 50,
    n_points: int = 256,
    seed: int = 0,
) -> float:
    """Minimise J by L-BFGS from the head's present weights; return the cross-entropy reached.

    All that is K x K is in float64: a confident head makes W Sigma W^T nearly singular.

    Raises:
        DivergedError: the logits' covariance cannot be factored.
    """
    mean, factors = gaussians.mean, gaussians.cholesky
    points = normal_points(len(mean), n_points, seed).to(mean.device)
    weight, bias = (p.detach().double().requires_grad_() for p in (head.weight, head.bias))
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=n_iterations,
        history_size=10,
        tolerance_grad=1e-6,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )
    reached = [0.0]

    def closure() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss = expected_cross_entropy(weight, bias, mean, factors, points)
        objective = loss + 0.5 * decay * (weight.square().sum() + bias.square().sum())
        objective.backward()
        reached[0] = float(loss.detach())
        return objective

    optimiser.step(closure)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return reached[0]


def expected_cross_entropy(
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    mean: Float[Tensor, "classes features"],
    factors: Float[Tensor, "classes features features"],
    points: Float[Tensor, "points classes"],
) -> Float[Tensor, ""]:
    """Return 1/K sum_k E CE(z, k), z ~ N(W mu_k + b, W Sigma_k W^T), over the given points.

    Args:
        weight: W, float64.
        bias: b, float64.
        mean: mu_k.
        factors: L_k with Sigma_k = L_k L_k^T, in the dtype of `mean`.
        points: standard normals, float64.

    Raises:
        DivergedError: W Sigma_k W^T cannot be factored.
    """
    n_classes = len(weight)
    rows = weight.to(mean.dtype)
    centre = (mean @ rows.T).double() + bias
    projected = project(rows, factors).double()
    spread = projected @ projected.mT
    variance = torch.diagonal(spread, dim1=1, dim2=2).mean(dim=1)
    identity = torch.eye(n_classes, dtype=weight.dtype, device=weight.device)
    jitter = JITTER * variance.detach().clamp_min(1e-12)
    cholesky, info = torch.linalg.cholesky_ex(spread + jitter[:, None, None] * identity)
    if int(info.abs().max()) != 0:
        raise DivergedError("the covariance of the classifier's logits cannot be factored")
    logits = centre[:, None, :] + points @ cholesky.mT
    labels = torch.arange(n_classes, device=weight.device)[:, None].expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def project(
    weight: Float[Tensor, "classes features"], factors: Float[Tensor, "classes features features"]
) -> Float[Tensor, "classes classes features"]:
    """Return W L_k for each class k.

    As one batched product: the broadcasting `weight @ factors` has a backward four times as slow.
    """
    return torch.bmm(weight.expand(len(factors), -1, -1), factors)


@lru_cache(maxsize=8)
def normal_points(n_dimensions: int, n_points: int, seed: int) -> Float[Tensor, "points dims"]:
    """Return scrambled Sobol points mapped to standard normals, with their mirror images.

    The mirror images (antithetic pairs) make the first moment exact.
    """
    engine = torch.quasirandom.SobolEngine(n_dimensions, scramble=True, seed=seed)
    uniform = engine.draw(n_points // 2, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
    half = math.sqrt(2.0) * torch.erfinv(2.0 * uniform - 1.0)
    return torch.cat([half, -half])
