from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, content_hash
from lmd_bench.data.datasets import load
from lmd_bench.data.options import TaskOptions, protocol_option
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.balanced import train_counts
from lmd_bench.data.tasks.protocols import cut

COUNTS = {"a": 1300, "b": 400, "c": 60}


def make_table(counts=COUNTS, group_size=1, shared_groups=0):
    """Rows class by class; lesions of `group_size` images, some held by the last two classes."""
    labels = np.repeat(np.arange(len(counts)), list(counts.values())).astype(np.int64)
    ids = tuple(f"img{row:05d}" for row in range(len(labels)))
    firsts = np.searchsorted(labels, labels)
    groups = [f"{label}-{(i - firsts[i]) // group_size}" for i, label in enumerate(labels)]
    for lesion in range(shared_groups):
        groups = [f"1-{lesion}" if group == f"2-{lesion}" else group for group in groups]
    return ImageTable(ids, labels, tuple(groups), tuple(counts))


def make_spec(**changes):
    return replace(TaskSpec("made", imbalance_factor=100.0), **changes)


def counts_of(table, rows):
    return np.bincount(table.labels[rows], minlength=len(table.class_names)).tolist()


def test_balanced_val_and_test_hold_15_and_25_percent_of_the_rarest_class_of_every_class():
    table = make_table()
    split = cut(table, make_spec())
    assert counts_of(table, split.val) == [9, 9, 9]
    assert counts_of(table, split.test) == [15, 15, 15]


def test_balanced_val_and_test_hold_at_most_50_and_100_images_of_a_class():
    table = make_table({"a": 3000, "b": 1000})
    split = cut(table, make_spec(imbalance_factor=10.0))
    assert counts_of(table, split.val) == [50, 50]
    assert counts_of(table, split.test) == [100, 100]


def test_balanced_train_is_the_exponential_profile_from_a_round_n_max():
    # 1300 - 24 held out = 1276, rounded down to 1000; 1000, 1000 / 10, 1000 / 100
    table = make_table()
    assert counts_of(table, cut(table, make_spec()).train) == [1000, 100, 10]


def test_balanced_train_caps_a_class_at_what_exists_and_keeps_both_ends_exact():
    # factor 30: n_min = 33, n_max = 990, profile of b 990 / sqrt(30) = 180, but 176 are left
    table = make_table({"a": 1300, "b": 200, "c": 60})
    kept = counts_of(table, cut(table, make_spec(imbalance_factor=30.0)).train)
    assert kept == [990, 176, 33]
    assert kept[0] / kept[2] == 30


@pytest.mark.parametrize("factor", [28, 29, 33, 50, 77, 100, 333, 1000, 62.5, 33.2])
def test_balanced_train_has_exactly_the_imbalance_factor(factor):
    table = make_table()
    kept = counts_of(table, cut(table, make_spec(imbalance_factor=float(factor))).train)
    assert max(kept) / min(kept) == factor


def test_balanced_factor_that_no_whole_counts_give_is_met_to_the_nearest_image():
    # 1000 / 400.01 = 2.5: n_min = 2, and 800.02 is rounded to 800
    table = make_table()
    kept = counts_of(table, cut(table, make_spec(imbalance_factor=400.01)).train)
    assert (kept[0], kept[2]) == (800, 2)


def test_balanced_without_a_factor_keeps_every_image_that_is_left():
    table = make_table()
    assert counts_of(table, cut(table, make_spec(imbalance_factor=None)).train) == [1276, 376, 36]


def test_balanced_without_a_factor_still_caps_at_n_max():
    table = make_table()
    split = cut(table, make_spec(imbalance_factor=None, n_max=100))
    assert counts_of(table, split.train) == [100, 100, 36]


def test_balanced_val_and_test_are_the_same_for_every_factor_and_n_max():
    table = make_table(group_size=3)
    specs = [
        make_spec(imbalance_factor=f, n_max=n) for f, n in [(100.0, None), (200.0, 500), (1.0, 20)]
    ]
    splits = [cut(table, spec) for spec in specs]
    assert len({tuple(split.val) for split in splits}) == 1
    assert len({tuple(split.test) for split in splits}) == 1


def test_balanced_train_sets_nest_where_the_factors_divide_n_max():
    table = make_table(group_size=2)
    kept = [
        set(cut(table, make_spec(imbalance_factor=float(factor))).train)
        for factor in (50, 100, 200, 500)
    ]
    for larger, smaller in zip(kept, kept[1:], strict=False):
        assert smaller < larger


# Of the images of each split as the first version cut them, by factor; n_max 500 for ham10000.
FIRST_VERSION = {
    "synthetic": ("66a9d20dba345c8c1067", "71d2721f0d6cf590ea04"),
    "ham10000": ("943f6f7998d396af6549", "67d82b7b8ab1371765f4"),
}
FIRST_TRAIN = {
    ("synthetic", 50): "cd676a5f198de229214e",
    ("synthetic", 100): "00d9edf3ec0e44c6a08d",
    ("synthetic", 200): "71d39ed5cc8b9352c38a",
    ("ham10000", 50): "f3171485e4bccea8eae2",
    ("ham10000", 100): "72e009358dc63af8995b",
    ("ham10000", 200): "c13d3affe093ff997a8d",
}


@pytest.mark.parametrize("name", ["synthetic", "ham10000"])
def test_the_first_version_cuts_what_it_cut_when_the_reference_results_were_made(name, request):
    real = name == "ham10000"
    root = request.getfixturevalue("shared_data") / name if real else None
    table = load(name).read(root)
    protocol, *_ = TaskOptions(protocol="balanced_v1").ways
    assert protocol == "balanced"  # as the rows of the reference call it
    for factor in (50, 100, 200):
        split = cut(table, TaskSpec(name, protocol, float(factor), n_max=500 if real else None))
        train, val, test = (
            content_hash([table.image_ids[row] for row in rows])
            for rows in (split.train, split.val, split.test)
        )
        assert train == FIRST_TRAIN[name, factor]
        assert (val, test) == FIRST_VERSION[name]


def test_a_protocol_is_asked_for_by_a_name_and_rows_say_its_version():
    assert TaskOptions().ways[0] == TaskOptions(protocol="balanced_v2").ways[0] == "balanced_v2"
    assert [protocol_option(name) for name in ("balanced", "balanced_v2", "natural")] == [
        "balanced_v1",
        "balanced",
        "natural",
    ]


def test_balanced_v2_takes_25_and_15_percent_of_each_class_and_at_most_100():
    table = make_table()
    split = cut(table, make_spec(protocol="balanced_v2"))
    assert counts_of(table, split.test) == [100, 100, 15]
    assert counts_of(table, split.val) == [100, 60, 9]


def test_natural_keeps_the_prevalence_in_val_and_test():
    table = make_table()
    split = cut(table, make_spec(protocol="natural"))
    assert counts_of(table, split.test) == [325, 100, 15]
    assert counts_of(table, split.val) == [195, 60, 9]
    assert counts_of(table, split.train) == [700, 70, 7]  # 1300 - 520 rounded to 700


@pytest.mark.parametrize("protocol", ["balanced_v2", "natural"])
def test_no_group_crosses_and_train_sets_nest_under_every_share(protocol):
    table = make_table(group_size=3, shared_groups=12)
    factors = (50.0, 100.0, 200.0)
    splits = [cut(table, make_spec(protocol=protocol, imbalance_factor=f)) for f in factors]
    for split in splits:
        groups = [{table.groups[r] for r in rows} for rows in (split.train, split.val, split.test)]
        assert groups[0].isdisjoint(groups[1] | groups[2])
        assert groups[1].isdisjoint(groups[2])
        assert split.val.tolist() == splits[0].val.tolist()
        assert split.test.tolist() == splits[0].test.tolist()
    for larger, smaller in pairwise(splits):
        assert set(smaller.train) < set(larger.train)


def test_balanced_split_depends_on_the_split_seed():
    table = make_table()
    first, second = (cut(table, make_spec(split_seed=seed)) for seed in (0, 1))
    assert set(first.test) != set(second.test)
    assert set(first.train) != set(second.train)


@pytest.mark.parametrize("shared_groups", [0, 12])
def test_balanced_split_lets_no_group_cross(shared_groups):
    table = make_table(group_size=3, shared_groups=shared_groups)
    split = cut(table, make_spec(imbalance_factor=200.0))
    groups = [{table.groups[row] for row in rows} for rows in (split.train, split.val, split.test)]
    assert groups[0].isdisjoint(groups[1] | groups[2])
    assert groups[1].isdisjoint(groups[2])
    assert counts_of(table, split.val) == [9, 9, 9]
    assert counts_of(table, split.test) == [15, 15, 15]


def test_balanced_leaves_surplus_images_of_an_opened_group_out_of_everything():
    # lesions of 4: val 9 opens three (12 images), test 15 opens four (16)
    table = make_table(group_size=4)
    split = cut(table, make_spec(imbalance_factor=None))
    assert counts_of(table, split.train) == [1300 - 28, 400 - 28, 60 - 28]


def test_balanced_refuses_a_factor_below_the_smallest_and_both_ways_out_work():
    table = make_table()  # 36 of c are left
    with pytest.raises(UserError, match=r"needs 50 of every class, but class 'c' has 36") as caught:
        cut(table, make_spec(imbalance_factor=20.0))
    assert "smallest possible whole factor is 28, or give --n-max 720 or less" in str(caught.value)
    cut(table, make_spec(imbalance_factor=28.0))
    cut(table, make_spec(imbalance_factor=20.0, n_max=720))
    with pytest.raises(UserError):
        cut(table, make_spec(imbalance_factor=27.0))


def test_balanced_refuses_a_factor_that_leaves_the_smallest_class_empty():
    with pytest.raises(UserError, match="largest possible factor is 1000"):
        cut(make_table(), make_spec(imbalance_factor=1001.0))


@pytest.mark.parametrize("n_max", [0, 1277])
def test_balanced_refuses_an_n_max_that_does_not_exist(n_max):
    with pytest.raises(UserError, match="'a' has 1276 images .* give a number from 1 to 1276"):
        cut(make_table(), make_spec(n_max=n_max))


def test_balanced_refuses_a_class_of_seven_images():
    with pytest.raises(UserError, match="Class 'c' has 7 images; .* needs at least 8"):
        cut(make_table({"a": 100, "b": 50, "c": 7}), make_spec())


def test_balanced_refuses_a_class_that_lies_in_one_group():
    table = make_table({"a": 100, "b": 50, "c": 12}, group_size=12)
    with pytest.raises(UserError, match="Class 'c' lies in 1 groups, too few"):
        cut(table, make_spec())


def test_balanced_refuses_a_class_of_which_nothing_is_left_to_train_on():
    table = make_table({"a": 100, "b": 50, "c": 12}, group_size=6)
    with pytest.raises(UserError, match="No image of class 'c' is left for training"):
        cut(table, make_spec())


@pytest.mark.parametrize(
    ("available", "n_max"), [(95, 90), (712, 700), (6655, 6000), (12725, 12000)]
)
def test_n_max_starts_from_a_round_number(available, n_max):
    spec = make_spec(imbalance_factor=10.0)
    assert train_counts([available, available], [0, 1], ("a", "b"), spec)[0] == n_max


@pytest.mark.parametrize("factor", [0.5, float("nan"), float("inf"), -3.0])
def test_an_imbalance_factor_below_one_or_without_end_is_refused(factor):
    with pytest.raises(UserError, match="a number from 1 upwards"):
        cut(make_table(), make_spec(imbalance_factor=factor))


def test_an_unknown_protocol_is_refused_with_the_choices():
    with pytest.raises(
        UserError, match="Unknown protocol 'lmb'; choose from balanced, balanced_v2, folds_10"
    ):
        cut(make_table(), make_spec(protocol="lmb"))


def test_a_class_without_an_image_is_refused_by_name():
    table = make_table({"a": 100, "b": 0, "c": 50})
    with pytest.raises(UserError, match="No image of class b is present"):
        cut(table, make_spec())


def test_lmd_splits_each_class_70_10_20():
    # natural ratio 10: nothing is thinned; 30 % of 100 = 30 -> test 20, val 10
    table = make_table({"a": 1000, "b": 100})
    split = cut(table, make_spec(protocol="lmd", imbalance_factor=10.0))
    assert counts_of(table, split.train) == [700, 70]
    assert counts_of(table, split.val) == [100, 10]
    assert counts_of(table, split.test) == [200, 20]


def test_lmd_without_a_factor_keeps_every_image():
    table = make_table()
    split = cut(table, make_spec(protocol="lmd", imbalance_factor=None))
    rows = np.concatenate([split.train, split.val, split.test])
    assert sorted(rows.tolist()) == list(range(len(table)))


def test_lmd_refuses_n_max():
    with pytest.raises(UserError, match="leave --n-max out"):
        cut(make_table(), make_spec(protocol="lmd", n_max=500))


def test_lmd_refuses_a_factor_that_leaves_a_class_too_few_to_split():
    with pytest.raises(UserError, match="factor 500 leaves 3 images of class 'c'"):
        cut(make_table(), make_spec(protocol="lmd", imbalance_factor=500.0))


def test_lmd_with_seed_42_and_factor_100_is_the_published_isic_2019_lt_split(shared_data):
    published = shared_data / "lmd_splits" / "ISIC2019LT"
    table = load("isic").read(shared_data / "isic2019")
    split = cut(table, TaskSpec("isic2019", "lmd", 100.0, split_seed=42))
    for name, rows in (
        ("training", split.train),
        ("validation", split.val),
        ("testing", split.test),
    ):
        lines = (published / f"{name}.csv").read_text().splitlines()[1:]
        assert {table.image_ids[row] for row in rows} == {line.split(",")[0] for line in lines}
    assert [len(split.train), len(split.val), len(split.test)] == [16170, 2313, 4621]


def test_ham10000_gives_factor_100_balanced_without_a_lesion_on_two_sides(shared_data):
    root = shared_data / "ham10000"
    table = load("ham10000").read(root)
    split = cut(table, TaskSpec("ham10000", imbalance_factor=100.0))
    kept = counts_of(table, split.train)
    assert (max(kept), min(kept)) == (6000, 60)
    assert counts_of(table, split.val) == [17] * 7  # 15 % of 115
    assert counts_of(table, split.test) == [28] * 7  # 25 % of 115
    held_out = {table.groups[row] for row in [*split.val, *split.test]}
    assert held_out.isdisjoint(table.groups[row] for row in split.train)


def test_without_val_a_fold_of_train_selects_and_test_is_the_balanced_one():
    table = make_table()
    plain, split = (cut(table, make_spec(protocol=name)) for name in ("balanced_v2", "no_val"))
    assert counts_of(table, split.test) == counts_of(table, plain.test) == [100, 100, 15]
    in_all = np.add(counts_of(table, split.train), counts_of(table, split.val))
    assert counts_of(table, split.val) == [round(n / 5) for n in in_all]  # each class by itself
    # Of all images that test leaves, none is held out for val alone.
    whole = cut(table, make_spec(protocol="no_val", imbalance_factor=None))
    assert len(whole.train) + len(whole.val) + len(whole.test) == len(table.labels)
    again = cut(table, make_spec(protocol="no_val"))
    assert (split.val == again.val).all()
    assert set(split.val) != set(cut(table, make_spec(protocol="no_val", split_seed=1)).val)


@pytest.mark.parametrize("shared_groups", [0, 12])
def test_without_val_no_group_crosses_and_each_class_is_in_all_three(shared_groups):
    table = make_table(group_size=3, shared_groups=shared_groups)
    split = cut(table, make_spec(protocol="no_val", imbalance_factor=50.0))
    groups = [{table.groups[row] for row in rows} for rows in (split.train, split.val, split.test)]
    assert groups[0].isdisjoint(groups[1] | groups[2])
    assert groups[1].isdisjoint(groups[2])
    for rows in (split.train, split.val, split.test):
        assert min(counts_of(table, rows)) >= 1


def test_without_val_a_class_of_one_training_group_is_refused():
    table = make_table(group_size=3)
    with pytest.raises(UserError, match="lie in 1 group, too few for train and a fold"):
        cut(table, make_spec(protocol="no_val", imbalance_factor=800.0, n_max=800))
