"""Class-conditional Gaussians of features: means, covariance models, distances and draws.

The K covariance matrices are factored once; every distance and every draw uses the factors, so no
step costs more than one matrix product. They are by far the largest that stage 2 holds (K x C x C),
so each kind of factor is made when it is asked for, one class at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.core.errors import DivergedError

CovarianceModel = Literal["eps", "diag", "shrink_diag", "oas", "pooled", "tail_borrow"]
UNFACTORED = "a class covariance of the features cannot be factored"
Covariance = Float[Tensor, "features features"]
Covariances = Float[Tensor, "classes features features"]
OfClass = Callable[[int], Covariance]  # takes a class
OfRoot = Callable[[int], Float[Tensor, "rows features"]]
ThinFactors = list[tuple[Float[Tensor, "features _"], float]]  # F and e of each class


@dataclass(frozen=True)
class ClassMoments:
    """Mean, covariance (over n - 1) and image count of each class."""

    mean: Float[Tensor, "classes features"]
    covariance: Covariances
    counts: Int64[Tensor, " classes"]
    root: OfRoot | None = None  # R of a class with few images: its covariance is R^T R


@dataclass(frozen=True)
class ClassGaussians:
    """K Gaussians and their factors: Sigma_k = L_k L_k^T, whitener_k = L_k^{-1}.

    Factored in float64, since rank-deficient covariances are held up by eps alone, and kept in the
    dtype of `mean`. Whoever asks for a factor gets a DivergedError where a covariance is not finite
    or too badly scaled to have one.
    """

    mean: Float[Tensor, "classes features"]
    sigma: OfClass
    root: OfRoot | None = None  # R of a class with Sigma_k = R^T R + eps I
    eps: float = 0.0  # beside R

    @cached_property
    def covariance(self) -> Covariances:
        """Return Sigma_k."""
        return self._each(self.sigma, self._room())

    @cached_property
    def cholesky(self) -> Covariances:
        """Return L_k."""
        return self._each_factor(lambda factor: factor)

    @cached_property
    def whitener(self) -> Covariances:
        """Return L_k^{-1}."""
        identity = torch.eye(self.mean.shape[1], dtype=torch.float64, device=self.mean.device)
        return self._each_factor(
            lambda factor: torch.linalg.solve_triangular(factor, identity, upper=False)
        )

    def thin_factors(self) -> ThinFactors | None:
        """Return F_k and e_k of each class with Sigma_k = F_k F_k^T + e_k I, as thin as it may be.

        None where the covariance model fills every direction. A class of n images has a covariance
        of rank n - 1, so all F_k together have no more columns than there are images.
        """
        if self.root is None:
            return None
        factors: ThinFactors = []
        for label in range(len(self.mean)):
            root = self.root(label)
            if len(root) < root.shape[1]:
                factors.append((root.T.to(self.mean.dtype).contiguous(), self.eps))
                continue
            factor, info = torch.linalg.cholesky_ex(self.sigma(label).double())
            if int(info) != 0:
                raise DivergedError(UNFACTORED)
            factors.append((factor.to(self.mean.dtype), 0.0))
        return factors

    def _room(self) -> Covariances:
        n_classes, n_features = self.mean.shape
        return self.mean.new_empty(n_classes, n_features, n_features)

    def _each(self, make: OfClass, out: Covariances) -> Covariances:
        for label in range(len(out)):
            out[label] = make(label)
        return out

    def _each_factor(self, make: Callable[[Covariance], Covariance]) -> Covariances:
        failed = torch.zeros((), dtype=torch.int32, device=self.mean.device)

        def of_class(label: int) -> Covariance:
            factor, info = torch.linalg.cholesky_ex(self.sigma(label).double())
            torch.maximum(failed, info.abs(), out=failed)
            return make(factor)

        # Column by column, as LAPACK leaves them: products with them keep their last bits.
        factors = self._each(of_class, self._room().mT)
        if int(failed) != 0:
            raise DivergedError(UNFACTORED)
        return factors

    def mahalanobis(
        self, features: Float[Tensor, "batch features"]
    ) -> Float[Tensor, "batch classes"]:
        """Return squared Mahalanobis distances of each feature to each class.

        d2_k(f) = || L_k^{-1} (f - mu_k) ||^2: one product of [batch, C] with [C, C] a class.
        """
        centred = features - self.mean[:, None, :]
        return (centred @ self.whitener.mT).square().sum(dim=2).T

    def log_determinant(self) -> Float[Tensor, " classes"]:
        """Return log det Sigma_k."""
        return 2.0 * torch.diagonal(self.cholesky, dim1=1, dim2=2).log().sum(dim=1)

    def draw(self, n_each: int, rng: torch.Generator) -> Float[Tensor, "classes draws features"]:
        """Return `n_each` draws of every class; nothing is kept."""
        n_classes, n_features = self.mean.shape
        noise = torch.randn(
            n_classes,
            n_each,
            n_features,
            generator=rng,
            device=self.mean.device,
            dtype=self.mean.dtype,
        )
        return torch.baddbmm(self.mean[:, None, :], noise, self.cholesky.mT)


def class_moments(
    features: Float[Tensor, "images features"], labels: Int64[Tensor, " images"], n_classes: int
) -> ClassMoments:
    """Return the moments of each class; a class with one image has covariance 0.

    In float64: features are far from zero beside their spread, and eps must not drown.
    """
    n_features = features.shape[1]
    means = features.new_empty(n_classes, n_features, dtype=torch.float64)
    covariances = features.new_empty(n_classes, n_features, n_features, dtype=torch.float64)
    for label in range(n_classes):
        of_class = features[labels == label].double()
        means[label] = mean = of_class.mean(dim=0)
        centred = of_class - mean
        torch.mm(centred.T, centred, out=covariances[label])
        covariances[label] /= max(1, len(of_class) - 1)

    def root(label: int) -> Float[Tensor, "rows features"]:
        of_class = features[labels == label].double()
        return (of_class - means[label]) / max(1, len(of_class) - 1) ** 0.5

    return ClassMoments(means, covariances, torch.bincount(labels, minlength=n_classes), root)


def fit_gaussians(
    moments: ClassMoments,
    model: CovarianceModel = "eps",
    eps: float = 1e-2,
    shrinkage: float = 0.5,
    n_neighbours: int = 2,
    dtype: torch.dtype = torch.float32,
) -> ClassGaussians:
    """Return the Gaussians of a covariance model; eps * I is added under every one.

    Args:
        moments: of the features.
        model: `eps` S; `diag` its diagonal; `shrink_diag` (1-s) S + s diag(S); `oas` shrinkage
            towards tr(S)/C I by Chen et al. 2010, Eq. 23; `pooled` (1-s) S + s S_within;
            `tail_borrow` the mean of S and of its nearest head classes for each tail class (after
            LADC, https://arxiv.org/abs/2111.04901).
        eps: variance added to each direction, in squared feature units.
        shrinkage: s in [0, 1].
        n_neighbours: head classes that a tail class borrows from.
        dtype: of the result, that of the features it will be used on.
    """
    within = cache(lambda: pooled_covariance(moments))
    borrowed = cache(lambda: borrowed_covariance(moments, n_neighbours))

    def sigma(label: int) -> Covariance:
        own = moments.covariance[label]
        match model:
            case "eps":
                return own
            case "diag":
                return torch.diag(own.diagonal())
            case "shrink_diag":
                return torch.lerp(own, torch.diag(own.diagonal()), shrinkage)
            case "oas":
                return oas_covariance(own[None], moments.counts[label : label + 1])[0]
            case "pooled":
                return torch.lerp(own, within(), shrinkage)
            case "tail_borrow":
                return borrowed()(label)

    gaussians = raised(moments.mean, sigma, eps, dtype)
    return replace(gaussians, root=moments.root, eps=eps) if model == "eps" else gaussians


def raised(
    mean: Float[Tensor, "classes features"], sigma: OfClass, eps: float, dtype: torch.dtype
) -> ClassGaussians:
    """Return Gaussians in `dtype`, eps * I added under every covariance."""

    def above(label: int) -> Covariance:
        covariance = sigma(label).clone()
        covariance.diagonal().add_(eps)
        return covariance

    return ClassGaussians(mean.to(dtype), above)


def oas_covariance(covariance: Covariances, counts: Int64[Tensor, " classes"]) -> Covariances:
    """Return (1 - rho) S + rho tr(S)/p I with the oracle-approximating rho (Chen et al., Eq. 23).

    S is taken over n as in the paper, so the unbiased input is scaled by (n - 1)/n first.
    """
    n = counts.to(covariance.dtype)
    s = covariance * ((n - 1).clamp_min(1) / n)[:, None, None]
    p = s.shape[1]
    trace = torch.diagonal(s, dim1=1, dim2=2).sum(dim=1)
    trace_of_square = s.square().sum(dim=(1, 2))
    numerator = (1 - 2 / p) * trace_of_square + trace.square()
    denominator = (n + 1 - 2 / p) * (trace_of_square - trace.square() / p)
    rho = torch.where(denominator > 0, numerator / denominator, 1.0).clamp(max=1.0)
    target = torch.eye(p, dtype=s.dtype, device=s.device) * (trace / p)[:, None, None]
    return torch.lerp(s, target, rho[:, None, None])


def pooled_covariance(moments: ClassMoments) -> Float[Tensor, "features features"]:
    """Return the within-class covariance: sum (n_k - 1) S_k / sum (n_k - 1)."""
    weights = (moments.counts - 1).clamp_min(0).to(moments.covariance.dtype)
    return torch.einsum("k,kij->ij", weights / weights.sum().clamp_min(1), moments.covariance)


def borrowed_covariance(moments: ClassMoments, n_neighbours: int) -> OfClass:
    """Return covariances in which each class below the median count averages in its nearest heads.

    A head is a class at or above the median count; near is by Euclidean distance of the means.
    """
    tail = moments.counts < moments.counts.double().median()
    distance = torch.cdist(moments.mean, moments.mean).masked_fill(tail[None, :], float("inf"))
    k = min(n_neighbours, int((~tail).sum()))
    nearest = distance.topk(k, largest=False).indices
    borrows: list[bool] = tail.tolist()

    def of_class(label: int) -> Covariance:
        own = moments.covariance[label]
        if not borrows[label]:
            return own
        return (moments.covariance[nearest[label]].sum(dim=0) + own) / (k + 1)

    return of_class
