"""The M-step: fits a linear head to class-balanced virtual features of class Gaussians.

Two ways to the same objective, J(W, b) = 1/K sum_k E_{f ~ N(mu_k, Sigma_k)} CE(W f + b, k)
+ decay/2 (|W|^2 + |b|^2). A linear head sees a virtual feature only through its K logits,
z ~ N(W mu_k + b, W Sigma_k W^T), so both draw logits, in K dimensions, and form no feature.

`sampled`  stochastic gradient steps on fresh draws, with the gradient by Stein's lemma,
           dJ/dW = 1/K sum_k E[p - y] mu_k^T + E[diag(p) - p p^T] W Sigma_k,
           dJ/db = 1/K sum_k E[p - y],
           that of the drawn features in expectation, with less variance. A step costs the K
           products W Sigma_k, whatever its batch.
`expected` with fixed quasi-random normals u, z = W mu + b + chol(W Sigma W^T) u makes J a smooth
           deterministic function of (W, b) that L-BFGS minimises. An evaluation costs K^2 D^2 +
           K^3 D for D features. Of many classes each is taken alone, value and gradient, with a
           factor of Sigma_k no wider than the class has images: K N (D + K) for N images, and room
           for one class in place of some K x K x D.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32
from torch import Tensor, nn

from lmd_bench.core.errors import DivergedError
from lmd_bench.methods.calibration._gaussians import ClassGaussians, ThinFactors

MANY_CLASSES = 64  # from here on each class is taken alone
JITTER = 1e-6  # of the mean logit variance, keeps K x K factors defined


def sgd_of(head: nn.Linear, lr: float, decay: float) -> torch.optim.SGD:
    """Return the published optimiser of the sampled form: momentum .9, decay on weight and bias."""
    return torch.optim.SGD(head.parameters(), lr=lr, momentum=0.9, weight_decay=decay)


def sampled_m_step(
    head: nn.Linear,
    gaussians: ClassGaussians,
    optimiser: torch.optim.Optimizer,
    n_steps: int,
    batch_size: int,
    rng: torch.Generator,
) -> float:
    """Take `n_steps` gradient steps on balanced draws; return the mean cross-entropy.

    Raises:
        DivergedError: the logits' covariance cannot be factored.
    """
    n_classes = len(gaussians.mean)
    n_each = max(1, batch_size // n_classes)
    total = torch.zeros((), device=gaussians.mean.device, dtype=gaussians.mean.dtype)
    failed = torch.zeros((), device=gaussians.mean.device, dtype=torch.int32)
    for _ in range(n_steps):
        noise = torch.randn(
            (n_classes, n_each, n_classes), generator=rng, device=total.device, dtype=total.dtype
        )
        loss, head.weight.grad, head.bias.grad, info = sampled_gradient(head, gaussians, noise)
        optimiser.step()
        total += loss
        failed = torch.maximum(failed, info)
    _require_factored(failed)
    return float(total) / n_steps


@torch.no_grad()
def sampled_gradient(
    head: nn.Linear, gaussians: ClassGaussians, noise: Float[Tensor, "classes draws classes"]
) -> tuple[
    Float[Tensor, ""],
    Float[Tensor, "classes features"],
    Float[Tensor, " classes"],
    Int32[Tensor, ""],
]:
    """Return cross-entropy and its gradients in W and b, on logits drawn with `noise`.

    Also returns what the factorisation of the logits' covariance says: 0 if all is well.
    """
    logits, products, info = drawn_logits(head, gaussians, noise)
    n_classes, n_each, _ = noise.shape
    log_p = logits.log_softmax(dim=2)
    p = log_p.exp()
    mean_p = p.mean(dim=1)
    residual = mean_p - torch.eye(n_classes, device=p.device, dtype=p.dtype)
    curvature = torch.diag_embed(mean_p).baddbmm_(p.mT, p, alpha=-1.0 / n_each)
    of_spread = curvature.transpose(0, 1).reshape(n_classes, -1) @ products.flatten(0, 1)
    of_weight = torch.addmm(of_spread, residual.mT, gaussians.mean) / n_classes
    loss = -torch.diagonal(log_p.mean(dim=1)).mean()
    return loss, of_weight, residual.mean(dim=0), info


@torch.no_grad()
def drawn_logits(
    head: nn.Linear, gaussians: ClassGaussians, noise: Float[Tensor, "classes draws classes"]
) -> tuple[
    Float[Tensor, "classes draws classes"],
    Float[Tensor, "classes classes features"],
    Int32[Tensor, ""],
]:
    """Return logits of virtual features, W Sigma_k, and 0 if all could be factored."""
    products = project(head.weight, gaussians.covariance)
    cholesky, info = factor_of_logits(products @ head.weight.mT)
    centre = torch.addmm(head.bias, gaussians.mean, head.weight.mT)
    return torch.baddbmm(centre[:, None, :], noise, cholesky.mT), products, info


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
    mean = gaussians.mean
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

    if len(mean) < MANY_CLASSES:
        whole = gaussians.cholesky

        def cross_entropy() -> Tensor:
            return expected_cross_entropy(weight, bias, mean, whole, points)

    else:
        thin = gaussians.thin_factors() or [(factor, 0.0) for factor in gaussians.cholesky]

        def cross_entropy() -> Tensor:
            return class_by_class(weight, bias, mean, thin, points)

    def closure() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        penalty = 0.5 * decay * (weight.square().sum() + bias.square().sum())
        objective = cross_entropy() + penalty
        objective.backward()
        return objective

    optimiser.step(closure)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
        return float(cross_entropy())


def class_by_class(
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    mean: Float[Tensor, "classes features"],
    thin: ThinFactors,
    points: Float[Tensor, "points classes"],
) -> Float[Tensor, ""]:
    """Return `expected_cross_entropy` of all classes, each of which has its gradient taken at once.

    What is returned is a sum of the parameters with these gradients, so that no class needs room
    once the next is at hand.
    """
    with_gradient = torch.is_grad_enabled()
    own_weight = weight.detach().requires_grad_(with_gradient)
    own_bias = bias.detach().requires_grad_(with_gradient)
    rows = own_weight.to(mean.dtype).double()
    # W W^T is the same for all: its gradient is gathered before it goes on to W.
    product = rows @ rows.T
    shared = product.detach().requires_grad_(with_gradient)
    total = torch.zeros((), dtype=weight.dtype, device=weight.device)
    for label, (factor, ridge) in enumerate(thin):
        beside = ridge * shared if ridge else None
        own_mean = mean[label : label + 1]
        loss = expected_cross_entropy(
            own_weight, own_bias, own_mean, factor[None], points, beside, label
        ) / len(thin)
        total += loss.detach()
        if with_gradient:
            loss.backward()
    if shared.grad is not None:
        product.backward(shared.grad)
    for own, given in ((own_weight, weight), (own_bias, bias)):
        if own.grad is not None:
            # Nothing in value, and all of the gradient.
            linear = (own.grad * given).sum()
            total = total + linear - linear.detach()
    return total


def expected_cross_entropy(
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    mean: Float[Tensor, "part features"],
    factors: Float[Tensor, "part features rank"],
    points: Float[Tensor, "points classes"],
    beside: Float[Tensor, "classes classes"] | None = None,
    first: int = 0,
) -> Float[Tensor, ""]:
    """Return the mean over k of E CE(z, k), z ~ N(W mu_k + b, W Sigma_k W^T), at the given points.

    Args:
        weight: W, float64.
        bias: b, float64.
        mean: mu_k, of all classes or of some that follow one another.
        factors: L_k with Sigma_k = L_k L_k^T, in the dtype of `mean`.
        points: standard normals, float64.
        beside: what W Sigma_k W^T has besides W L_k L_k^T W^T.
        first: the class of the first mean.

    Raises:
        DivergedError: W Sigma_k W^T cannot be factored.
    """
    rows = weight.to(mean.dtype)
    centre = (mean @ rows.T).double() + bias
    projected = project(rows, factors).double()
    spread = projected @ projected.mT
    if beside is not None:
        spread = spread + beside
    cholesky, info = factor_of_logits(spread)
    _require_factored(info)
    logits = centre[:, None, :] + points @ cholesky.mT
    classes = torch.arange(first, first + len(mean), device=weight.device)
    labels = classes[:, None].expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def factor_of_logits(
    spread: Float[Tensor, "part classes classes"],
) -> tuple[Float[Tensor, "part classes classes"], Int32[Tensor, ""]]:
    """Return Cholesky factors of W Sigma_k W^T, made in float64, and 0 if all were found.

    A confident head makes these matrices nearly singular; a jitter on the diagonal holds them up.
    """
    exact = spread.double()
    variance = torch.diagonal(exact, dim1=1, dim2=2).mean(dim=1, keepdim=True)
    jitter = (JITTER * variance.detach().clamp_min(1e-12)).expand(-1, spread.shape[1])
    cholesky, info = torch.linalg.cholesky_ex(exact + torch.diag_embed(jitter))
    return cholesky.to(spread.dtype), info.abs().max()


def _require_factored(info: Int32[Tensor, ""]) -> None:
    if int(info) != 0:
        raise DivergedError("the covariance of the classifier's logits cannot be factored")


def project(
    weight: Float[Tensor, "classes features"], factors: Float[Tensor, "part features rank"]
) -> Float[Tensor, "part classes rank"]:
    """Return W L_k (or W Sigma_k) for each class k.

    As one batched product: the broadcasting `weight @ factors` is several times as slow, and so
    is its backward.
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
