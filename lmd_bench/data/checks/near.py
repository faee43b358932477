"""Near-identical images in two splits, by a difference hash.

The hash says of each of 16 x 16 places whether the image is brighter to the right, and below: 512
bits (dHash, after N. Krawetz, "Kind of Like That", 2013,
https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html, in two directions
and finer). It does not notice another size, compression, brightness or contrast.

At most `THRESHOLD` bits may differ. Of the 50 million pairs of HAM10000 at 32 px, 18 differ in that
little, and all are of one lesion; the nearest two lesions differ in 28 bits, and chance in 256. Two
images without any structure count as equal. Below 17 px the hash is coarser.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lmd_bench.data.tasks.split import Split

THRESHOLD = 24  # bits of 512
_SIDE = 16
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # luma, ITU-R BT.601
_TILE = 2048  # hashes compared with as many others at a time: 16 MiB of distances
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class NearGroup:
    """Images of two splits or more that look the same, each like another one of the group."""

    rows: tuple[int, ...]
    pair: tuple[int, int]  # two rows in two splits: the nearest of those that were compared
    splits: tuple[str, str]  # of the pair
    distance: int  # bits that differ in the pair


def difference_hashes(
    pixels: UInt8[np.ndarray, "images size size 3"],
) -> Bool[np.ndarray, "images bits"]:
    """Return the 512 bits of each image."""
    size = pixels.shape[1]
    coarse, fine = _averaging(_SIDE, size), _averaging(_SIDE + 1, size)
    grey = pixels.astype(np.float32) @ _GREY
    across = coarse @ grey @ fine.T
    down = fine @ grey @ coarse.T
    bits = (across[:, :, 1:] > across[:, :, :-1], down[:, 1:] > down[:, :-1])
    return np.concatenate([part.reshape(len(pixels), -1) for part in bits], axis=1)


def near_identical(
    bits: Bool[np.ndarray, "images bits"],
    split: Split,
    identical: Collection[tuple[int, ...]] = (),
    threshold: int = THRESHOLD,
) -> tuple[NearGroup, ...]:
    """Return the groups of images across splits whose hashes differ in at most `threshold` bits.

    Two rows are linked if they lie in two splits and differ in so few bits. A group is what such
    links hold together, so it has no more rows than there are images, however many links there are.

    Args:
        bits: hashes of all images of the table.
        split: rows of the table; only rows in two splits are linked.
        identical: sets of rows whose files or pixels, and so hashes, are the same. These are no
            link, so a set is in a group only as far as other images look like it.
        threshold: bits.

    Returns:
        groups of the nearest pairs first.
    """
    rows = np.concatenate([split.train, split.val, split.test])
    sizes = [len(split.train), len(split.val), len(split.test)]
    split_of = np.full(len(bits), -1)
    split_of[rows] = np.repeat(np.arange(len(sizes)), sizes)
    content = np.arange(len(bits))
    for same in identical:
        content[list(same)] = same[0]

    # One node for all images of a hash: what has no structure is compared once.
    # The bits that tell most come first: those that half of the images have. Else mixed, so that
    # bits that say one thing, as neighbours do, are spread over all quarters.
    alike = np.abs(bits[rows].mean(axis=0, dtype=np.float64) - 0.5).round(1)
    spread = np.lexsort((np.random.default_rng(0).permutation(bits.shape[1]), alike))
    packed = np.packbits(bits[np.ix_(rows, spread)], axis=1)
    hashes, node = np.unique(packed.view(f"V{packed.shape[1]}")[:, 0], return_inverse=True)
    hashes = hashes.view(np.uint8).reshape(len(hashes), packed.shape[1])
    members = np.split(rows[np.argsort(node, kind="stable")], np.cumsum(np.bincount(node))[:-1])
    parts = [np.unique(node[split_of[rows] == i]) for i in range(len(sizes))]
    distance, partner, component = _joined(hashes, parts, bits.shape[1], threshold)
    for i, images in enumerate(members):
        if min(map(np.ptp, (split_of[images], content[images]))) > 0:
            distance[i], partner[i] = 0, i

    groups: list[NearGroup] = []
    owners = np.flatnonzero(distance <= threshold)
    owners = owners[np.argsort(distance[owners], kind="stable")]
    nodes = np.argsort(component, kind="stable")
    ends = np.searchsorted(component[nodes], np.arange(len(hashes) + 1))
    for owner in owners[np.sort(np.unique(component[owners], return_index=True)[1])]:
        label = component[owner]
        images = np.concatenate([members[i] for i in nodes[ends[label] : ends[label + 1]]])
        pair = _pair(members[owner], members[partner[owner]], split_of, content)
        names = (_SPLITS[split_of[pair[0]]], _SPLITS[split_of[pair[1]]])
        groups.append(NearGroup(tuple(np.sort(images).tolist()), pair, names, int(distance[owner])))
    return tuple(sorted(groups, key=lambda group: (group.distance, group.pair)))


def _joined(
    hashes: UInt8[np.ndarray, "nodes bytes"],
    parts: list[Int64[np.ndarray, " _"]],
    n_bits: int,
    threshold: int,
) -> tuple[Int64[np.ndarray, " nodes"], Int64[np.ndarray, " nodes"], Int64[np.ndarray, " nodes"]]:
    """Return the distance to a near node, that node, and the component, of each node.

    The distance is beyond the threshold where no near node was met, as at one of a link's two ends.
    """
    distance = np.full(len(hashes), n_bits + 1)
    partner = np.zeros(len(hashes), dtype=np.int64)
    component = np.arange(len(hashes))
    for all_rows, columns in _tiles(parts):
        labels = np.concatenate([component[all_rows], component[columns]])
        if (labels == labels[0]).all():
            continue
        # With bits as -1 and 1, the product of two hashes is n_bits - 2 * distance.
        left, right = _signs(hashes[all_rows], n_bits), _signs(hashes[columns], n_bits)
        rows, products = all_rows, np.zeros((len(all_rows), len(columns)), dtype=np.float32)
        # Most images differ in more than the threshold in the first quarter of the bits already.
        for start, end in pairwise(np.linspace(0, n_bits, 5).astype(int)):
            products += left[:, start:end] @ right[:, start:end].T
            possible = products.max(axis=1, initial=-n_bits) >= end - 2 * threshold
            if not possible.all():
                rows, left, products = rows[possible], left[possible], products[possible]
            if not len(rows):
                break
        if not len(rows):
            continue
        _, i, j = np.intersect1d(rows, columns, assume_unique=True, return_indices=True)
        products[i, j] = -n_bits - 2  # a hash and itself
        nearest = products.argmax(axis=1)
        bits = (n_bits - products[np.arange(len(rows)), nearest].astype(np.int64)) // 2
        if bits.min() > threshold:
            continue
        nearer = bits < distance[rows]
        distance[rows[nearer]] = bits[nearer]
        partner[rows[nearer]] = columns[nearest[nearer]]
        component = _join(component, rows, columns, products >= n_bits - 2 * threshold)
    return distance, partner, component


def _tiles(
    parts: list[Int64[np.ndarray, " _"]],
) -> Iterator[tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " columns"]]]:
    for first, second in combinations(parts, 2):
        for i, j in product(range(0, len(first), _TILE), range(0, len(second), _TILE)):
            yield first[i : i + _TILE], second[j : j + _TILE]


def _signs(
    hashes: UInt8[np.ndarray, "nodes bytes"], n_bits: int
) -> Float32[np.ndarray, "nodes bits"]:
    return np.unpackbits(hashes, axis=1, count=n_bits).astype(np.float32) * 2 - 1


def _join(
    component: Int64[np.ndarray, " nodes"],
    rows: Int64[np.ndarray, " rows"],
    columns: Int64[np.ndarray, " columns"],
    close: Bool[np.ndarray, "rows columns"],
) -> Int64[np.ndarray, " nodes"]:
    """Return the components after the links of one tile.

    One link of each row and column is taken at a time, and those inside a component are dropped, as
    by O. Boruvka (1926): each round at least halves the components that have links to others.
    """
    n = len(component)
    while True:
        close &= component[rows][:, None] != component[columns]
        of_row, of_column = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
        if not len(of_row):
            return component
        i = np.concatenate([of_row, close[:, of_column].argmax(axis=0)])
        j = np.concatenate([close[of_row].argmax(axis=1), of_column])
        ends = (component[rows[i]], component[columns[j]])
        links = coo_array((np.ones(len(i)), ends), shape=(n, n))
        component = connected_components(links, directed=False)[1].astype(np.int64)[component]


def _pair(
    first: Int64[np.ndarray, " first"],
    second: Int64[np.ndarray, " second"],
    split_of: Int64[np.ndarray, " images"],
    content: Int64[np.ndarray, " images"],
) -> tuple[int, int]:
    """Return an image of each of two linked nodes, in two splits; the earlier split first."""
    a = first[0]
    others = second[split_of[second] != split_of[a]]
    if not len(others):
        a, others = first[split_of[first] != split_of[a]][0], second
    b = others[0]
    if content[a] == content[b]:
        # In one node only. A third image has another content, and another split than a or b.
        c = first[content[first] != content[a]][0]
        a, b = (a if split_of[a] != split_of[c] else b), c
    early, late = sorted((int(a), int(b)), key=lambda row: split_of[row])
    return early, late


def _averaging(n_parts: int, size: int) -> Float[np.ndarray, "parts size"]:
    """Return the matrix that averages `size` pixels over `n_parts` equal stretches."""
    ends = np.linspace(0, size, n_parts + 1)
    pixel = np.arange(size)
    overlap = np.minimum(ends[1:, None], pixel + 1) - np.maximum(ends[:-1, None], pixel)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
