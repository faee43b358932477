"""The test set drawn again: recall of each class on bootstrap samples, the same for all models.

Stratified by class and clustered: of the G lesions (or patients) of a class, G - 1 are drawn with
replacement, each with all its images. Images of one lesion are no independent evidence; where the
groups are not known, each image is its own cluster. Drawing G - 1 makes the variance of a mean
unbiased, where G would make it (G - 1) / G too small, which matters for a tail of a few images. A
class of one cluster shows no spread at all.

Recalls are linearised, as those of `stats.influence` are: what a drawn lesion adds is how far its
images lie above the recall of its class, over the images of the class. The ratio of right images to
drawn images leans to one side where few lesions are of unlike sizes, by 3 points on smears of blood
cells; by how much differs between models, and would decide which of them is ahead.

A cluster with images of several classes counts as one in each of them.

Papers: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8 (clusters);
Rao and Wu, Resampling inference with complex survey data, 1988, section 3 (G - 1).
URL: https://doi.org/10.1080/01621459.1988.10478591
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64

Labels = Int64[np.ndarray, " images"]
Right = Float[np.ndarray, "images models"]  # share of a model's seeds that are right on an image
Recalls = Float[np.ndarray, "resamples models classes"]

N_RESAMPLES = 2000
_MOST_DRAWS = 2**22  # in memory at a time


def cluster_numbers(names: Sequence[str]) -> Int64[np.ndarray, " images"]:
    """Return a number for each image, equal where the names of lesion or patient are."""
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.int64)


def resampled_recall(
    labels: Labels,
    right: Right,
    n_classes: int,
    generator: np.random.Generator,
    clusters: Int64[np.ndarray, " images"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Recalls:
    """Return the recall of each class and model on bootstrap samples of the images.

    Args:
        labels: Index of the true class of each image.
        right: How right each model is on each image, 0 to 1.
        n_classes: Classes, also those without images; their recall is NaN.
        generator: Draws the samples.
        clusters: Lesion or patient of each image; None: each image is its own.
        n_resamples: Samples to draw.
    """
    n_images, n_models = right.shape
    ids = np.arange(n_images) if clusters is None else clusters
    recall = np.full((n_resamples, n_models, n_classes), np.nan)
    for index in range(n_classes):
        inside = labels == index
        if inside.any():
            seen, pulls, _ = _pulls(right[inside], ids[inside])
            n_draws = max(len(pulls) - 1, 1)
            for start in range(0, n_resamples, block := max(_MOST_DRAWS // len(pulls), 1)):
                rows = slice(start, min(start + block, n_resamples))
                counts = _draw_counts(len(pulls), n_draws, rows.stop - start, generator)
                recall[rows, :, index] = seen + counts @ pulls / n_draws
    return recall


def reweighted_recall(
    labels: Labels,
    right: Right,
    n_classes: int,
    clusters: Int64[np.ndarray, " images"],
    weights: Float[np.ndarray, "resamples clusters"],
) -> Recalls:
    """Return the recall of each class and model where lesions are weighted rather than drawn.

    Several test sets can share the weights: a lesion that is in two of them moves both alike. The
    variance is that of `resampled_recall`.

    Args:
        labels: Index of the true class of each image.
        right: How right each model is on each image, 0 to 1.
        n_classes: Classes, also those without images; their recall is NaN.
        clusters: Column of `weights` of each image's lesion or patient.
        weights: Independent, of mean and variance 1.
    """
    recall = np.full((len(weights), right.shape[1], n_classes), np.nan)
    for index in range(n_classes):
        inside = labels == index
        if inside.any():
            seen, pulls, of = _pulls(right[inside], clusters[inside])
            pairs = max(len(pulls) * (len(pulls) - 1), 1)
            recall[:, :, index] = seen + (weights[:, of] - 1.0) @ pulls / pairs**0.5
    return recall


def mean_recall(
    recall: Float[np.ndarray, "*shape classes"], classes: Bool[np.ndarray, " classes"] | None = None
) -> Float[np.ndarray, "*shape"]:
    """Return the mean recall over the classes that have images: balanced accuracy, or a group's.

    Args:
        recall: Recall of each class, NaN where it has no image.
        classes: Those to average; None: all. NaN if none of them has images.
    """
    n_classes = recall.shape[-1]
    known = ~np.isnan(recall).reshape(-1, n_classes).any(axis=0)
    chosen = known if classes is None else known & classes
    if not chosen.any():
        return np.full(recall.shape[:-1], np.nan)
    return np.asarray(recall[..., chosen].mean(axis=-1))


def _pulls(
    right: Right, ids: Int64[np.ndarray, " images"]
) -> tuple[
    Float[np.ndarray, " models"],
    Float[np.ndarray, "clusters models"],
    Int64[np.ndarray, " clusters"],
]:
    """Return the recalls of a class, how each cluster pulls at them, and the clusters' ids."""
    sums, of = _cluster_sums(right, ids)
    seen = sums[:, :-1].sum(axis=0) / len(right)
    return seen, (sums[:, :-1] - seen * sums[:, -1:]) * len(sums) / len(right), of


def _cluster_sums(
    right: Right, ids: Int64[np.ndarray, " images"]
) -> tuple[Float[np.ndarray, "clusters columns"], Int64[np.ndarray, " clusters"]]:
    """Return for each cluster the sum of each model's right images, and last its images; its id."""
    columns = np.column_stack([right, np.ones(len(right))])
    of, number = np.unique(ids, return_inverse=True)
    if len(of) == len(ids):
        return columns, ids
    sums = np.zeros((len(of), columns.shape[1]))
    np.add.at(sums, number, columns)
    return sums, of


def _draw_counts(
    n_clusters: int, n_draws: int, n_resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "resamples clusters"]:
    """Return how often each cluster is in each sample."""
    drawn = generator.integers(n_clusters, size=(n_resamples, n_draws))
    cells = drawn + n_clusters * np.arange(n_resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=n_resamples * n_clusters)
    return counts.reshape(n_resamples, n_clusters).astype(np.float64)
