"""Protocol `lmd`: the split procedure published with LMD, by image.

Source: https://github.com/peterlipan/LMD, `prepare_datasets/ISIC2019LT/split.py`. With split seed
42 and factor 100 it gives the published ISIC2019LT files (16,170 / 2,313 / 4,621 images). It knows
no lesions: images of one lesion may lie on both sides of a split.
"""

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.long_tail import by_count, natural_geometric_counts
from lmd_bench.data.tasks.split import Split, sorted_rows

_FEWEST = 4  # images that still give each of the three splits one


def cut_lmd(table: ImageTable, spec: TaskSpec) -> Split:
    """Return LMD's split: per class, 70 % train, 20 % test, 10 % val of the thinned images.

    Raises:
        UserError: a factor below the natural ratio, one that leaves a class too few images to
            split, or `n_max`, which this protocol does not have.
    """
    if spec.n_max is not None:
        raise UserError(
            "--n-max is for protocol 'balanced'; protocol 'lmd' keeps every image of the largest "
            "class: leave --n-max out."
        )
    counts = [int(n) for n in np.bincount(table.labels, minlength=len(table.class_names))]
    factor = spec.imbalance_factor
    kept = tuple(counts) if factor is None else natural_geometric_counts(counts, factor)
    _check_enough(kept, table.class_names, factor)
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    for label in by_count(counts):
        parts = _split_class(np.flatnonzero(table.labels == label), kept[label], spec.split_seed)
        for split, rows in zip((train, val, test), parts, strict=True):
            split.extend(rows)
    return Split(sorted_rows(train), sorted_rows(val), sorted_rows(test))


def _split_class(
    rows: np.ndarray, n_kept: int, seed: int
) -> tuple[list[int], list[int], list[int]]:
    import pandas as pd
    from sklearn.model_selection import train_test_split

    sampled = pd.Series(rows).sample(n=n_kept, random_state=seed).to_numpy()
    train, rest = train_test_split(sampled, test_size=0.3, random_state=seed)
    test, val = train_test_split(rest, test_size=1 / 3, random_state=seed)
    return np.asarray(train).tolist(), np.asarray(val).tolist(), np.asarray(test).tolist()


def _check_enough(
    kept: tuple[int, ...], class_names: tuple[str, ...], factor: float | None
) -> None:
    fewest = min(range(len(kept)), key=lambda label: kept[label])
    if kept[fewest] >= _FEWEST:
        return
    mend = "use a data set with more images" if factor is None else "give a smaller one"
    cause = "The natural profile" if factor is None else f"Imbalance factor {factor:g}"
    raise UserError(
        f"{cause} leaves {kept[fewest]} images of class '{class_names[fewest]}', but train, val "
        f"and test need at least {_FEWEST}; {mend}."
    )
