"""Protocol `official`: a split that was published, from --split-dir or declared by the data.

Published images that are not present are an error unless --allow-missing; images present that the
split does not list are left out. Where the split has no val, a fifth of train is held out for it.
Where it has no test, --hold-out-test cuts one from train; without it nothing can be confirmed.
The labels are those of the data set; what the split says of them is compared.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.file_names import other_isic_name, plain, without_ending
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.split import Split, sorted_rows
from lmd_bench.data.tasks.splits.find import read_published
from lmd_bench.data.tasks.splits.published import Listed, Published, SplitName

_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
_SHARE = 0.2  # of each class's train images that val gets, rounded up
Rows = dict[SplitName, list[int]]


def cut_official(table: ImageTable, spec: TaskSpec, source: DataSource) -> Split:
    """Return the published split, of the images that are present.

    Raises:
        UserError: an imbalance factor or n_max was asked for, or a split seed that chooses
            nothing; there is no split, or it does not fit the images.
    """
    if spec.imbalance_factor is not None or spec.n_max is not None:
        raise UserError(
            "Protocol 'official' takes a published split as it is, without --imbalance-factor or "
            "--n-max; leave them out, or use protocol 'balanced' or 'lmd'."
        )
    rows, seeded = _rows(table, spec, source)
    if not rows["train"]:
        raise UserError(
            f"The published split of '{spec.dataset}' has no image for train; name another split "
            "with --split-dir, or use protocol 'balanced'."
        )
    if source.hold_out_test is not None:
        if rows["test"]:
            raise UserError(
                f"The published split of '{spec.dataset}' has {len(rows['test'])} test images, so "
                "none are held out; leave --hold-out-test out."
            )
        share, seed = source.hold_out_test, spec.split_seed
        rows["train"], rows["test"] = hold_out(table, rows["train"], seed, share, "test")
        seeded = True
    if not rows["val"]:
        rows["train"], rows["val"] = hold_out(table, rows["train"], spec.split_seed)
    elif spec.split_seed and not seeded:
        raise UserError(
            f"The published split of '{spec.dataset}' is one split, so --split-seed "
            f"{spec.split_seed} would give it a second name; leave it out."
        )
    return Split(*(sorted_rows(rows[name]) for name in _SPLITS))


def hold_out(
    table: ImageTable,
    train: Sequence[int],
    split_seed: int,
    share: float = _SHARE,
    part: SplitName = "val",
) -> tuple[list[int], list[int]]:
    """Return the rows left in train, and those held out for val or test: whole groups, by class.

    Each class gives this share of its images, or a few more where the last group is larger; a class
    whose images lie in one group gives none. The rarest class chooses its groups first.

    Args:
        table: the images.
        train: rows of the published train set.
        split_seed: of the draw.
        share: of each class's images.
        part: what they are held out for.
    """
    labels = table.labels[list(train)]
    counts = np.bincount(labels, minlength=len(table.class_names))
    val_groups: set[str] = set()
    # Groups that a rarer class had its choice of: what it left in train stays there.
    decided: set[str] = set()
    for label in np.argsort(counts, kind="stable"):
        rows = [row for row, of in zip(train, labels, strict=True) if of == label]
        wanted = math.ceil(share * len(rows))
        n_taken = sum(table.groups[row] in val_groups for row in rows)
        groups = list(dict.fromkeys(table.groups[row] for row in rows))
        sizes = {group: 0 for group in groups}
        for row in rows:
            sizes[table.groups[row]] += 1
        name = table.class_names[label]
        seed = derive_seed(split_seed, "protocol", "official", part, name)
        for i in np.random.default_rng(seed).permutation(len(groups)):
            group = groups[i]
            # The last free group of a class stays in train.
            if n_taken >= wanted or n_taken + sizes[group] >= len(rows):
                continue
            if group not in decided:
                val_groups.add(group)
                n_taken += sizes[group]
        decided.update(groups)
    val = [row for row in train if table.groups[row] in val_groups]
    return [row for row in train if table.groups[row] not in val_groups], val


def _rows(table: ImageTable, spec: TaskSpec, source: DataSource) -> tuple[Rows, bool]:
    if source.split_dir is not None:
        published = read_published(source.split_dir, spec.split_seed)
        return _matched(table, published, spec.dataset, source.allow_missing), published.seeded
    declared: Sequence[str] | None = getattr(table, "splits", None)
    if not declared:
        raise UserError(
            f"Data set '{spec.dataset}' declares no official split; name a folder of split files "
            "with --split-dir, or use protocol 'balanced'."
        )
    return {name: [i for i, s in enumerate(declared) if s == name] for name in _SPLITS}, False


def _matched(table: ImageTable, published: Published, dataset: str, allow_missing: bool) -> Rows:
    """Return the rows of the published images, each at most once."""
    row_of = _Names(table.image_ids)
    names = {_parts(listed.name)[-1] for listed in published.images}
    rows: Rows = {name: [] for name in _SPLITS}
    present: dict[int, Listed] = {}
    missing: list[Listed] = []
    for listed in published.images:
        row = row_of.find(listed.name)
        # An image of ISIC goes by two names; a list that has both means two files.
        if row is None and (other := other_isic_name(_parts(listed.name)[-1])) not in names:
            row = row_of.find(other)
        if row is None:
            missing.append(listed)
            continue
        if row in present:
            raise UserError(
                f"The split in {published.path} lists image {table.image_ids[row]} twice, in "
                f"{present[row].split} and in {listed.split}; an image belongs to one split, once."
            )
        present[row] = listed
        rows[listed.split].append(row)
    if missing and (not present or not allow_missing):
        hint = row_of.hint(missing[0].name)
        raise _absent(published, missing, dataset, hint, any_found=bool(present))
    _check_labels(table, present, published)
    return rows


def _absent(
    published: Published, missing: list[Listed], dataset: str, hint: str, *, any_found: bool
) -> UserError:
    counts = Counter(listed.split for listed in missing)
    by_split = ", ".join(f"{name} {counts[name]}" for name in _SPLITS)
    what = f"{len(missing)} of {len(published.images)} images of the split in {published.path}"
    mend = (
        "complete the download, or --allow-missing goes on with those present"
        if any_found
        else "this is the split of another data set"
    )
    mend = hint or mend
    return UserError(
        f"{what} are not among the images of '{dataset}' here ({by_split}), first "
        f"{missing[0].name}; {mend}."
    )


class _Names:
    """Finds the row of an image by its id, its file name or a path that ends alike.

    A path names an image where one of the two ends with the other, folder by folder:
    `train/a/1.png` names `a/1`, as does `1.png` where no other folder has a file of this name;
    `b/1.png` does not.
    """

    def __init__(self, image_ids: tuple[str, ...]) -> None:
        self._ids = image_ids
        self._by_id = {image_id: row for row, image_id in enumerate(image_ids)}
        self._by_file: dict[str, list[tuple[list[str], int]]] = {}
        for row, image_id in enumerate(image_ids):
            parts = _parts(image_id)
            self._by_file.setdefault(parts[-1], []).append((parts, row))

    def find(self, name: str) -> int | None:
        """Return the row, or None where no image or more than one has this name."""
        row = self._by_id.get(name)
        if row is not None:
            return row
        rows = self._ending_alike(_parts(name))
        return rows[0] if len(rows) == 1 else None

    def hint(self, name: str) -> str:
        """Return what may be wrong with a name that was not found; "" where nothing is known."""
        parts = _parts(name)
        others = [self._ids[row] for _, row in self._by_file.get(parts[-1], [])]
        if not others:
            return ""
        if len(parts) > 1 and not self._ending_alike(parts):
            return f"an image of this name lies in another folder, {others[0]}: mend the list"
        listed = " and ".join(others[:2])
        return f"it could be {listed}: name images by their path below the data folder"

    def _ending_alike(self, parts: list[str]) -> list[int]:
        """Return the rows of the images whose path and this one end alike, the most alike alone."""
        alike: list[tuple[tuple[int, bool], int]] = []
        for of_image, row in self._by_file.get(parts[-1], []):
            n = min(len(parts), len(of_image))
            if parts[-n:] == of_image[-n:]:
                alike.append(((n, len(parts) == len(of_image)), row))
        most = max((rank for rank, _ in alike), default=None)
        return [row for rank, row in alike if rank == most]


def _parts(name: str) -> list[str]:
    # Only an image's ending is cut off: an id may hold a dot.
    return plain(without_ending(name.replace("\\", "/"))).split("/")


def _check_labels(table: ImageTable, present: Mapping[int, Listed], published: Published) -> None:
    """Refuse a split that sorts its images into other classes than the data set does.

    A split may spell a class in its own way (`hemorrhoids`, `hemorroids`, `9`): its name stands for
    the class that most of its images have here.
    """
    labels = {row: listed.label for row, listed in present.items() if listed.label is not None}
    counts: dict[str, Counter[int]] = {}
    for row, label in labels.items():
        counts.setdefault(label, Counter())[int(table.labels[row])] += 1
    names = table.class_names
    meant = {
        label: names.index(label) if label in names else count.most_common(1)[0][0]
        for label, count in counts.items()
    }
    wrong = [row for row, label in labels.items() if meant[label] != table.labels[row]]
    if wrong:
        raise UserError(
            f"The split in {published.path} gives {len(wrong)} of {len(labels)} images another "
            f"class than the data set, first {table.image_ids[wrong[0]]}: {labels[wrong[0]]} "
            f"there, {names[int(table.labels[wrong[0]])]} here; take files of one release."
        )
