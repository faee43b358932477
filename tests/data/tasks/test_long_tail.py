import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.long_tail import (
    exponential_counts,
    groups_by_third,
    natural_geometric_counts,
)

# ISIC 2019 in its class order MEL, NV, BCC, AK, BKL, DF, VASC, SCC.
ISIC = (4522, 12875, 3323, 867, 2624, 239, 253, 628)


def test_exponential_profile_of_three_classes_halves_its_exponent_in_the_middle():
    assert exponential_counts(1000, 100.0, 3) == (1000, 100, 10)


def test_exponential_profile_of_factor_one_is_flat():
    assert exponential_counts(70, 1.0, 5) == (70, 70, 70, 70, 70)


def test_exponential_profile_loses_no_image_to_the_last_bit_of_a_power():
    # 6000 * 100^(-1/2) is 600 on paper
    assert exponential_counts(6000, 100.0, 7)[3] == 600


def test_exponential_profile_of_one_class_is_its_n_max():
    assert exponential_counts(12, 100.0, 1) == (12,)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (100.0, (4140, 12875, 2785, 609, 2013, 129, 149, 404)),
        (200.0, (3750, 12875, 2285, 410, 1496, 65, 83, 247)),
        (500.0, (3290, 12875, 1759, 243, 1010, 26, 38, 128)),
    ],
)
def test_natural_geometric_counts_are_those_of_isic_2019_lt(factor, expected):
    assert natural_geometric_counts(ISIC, factor) == expected


def test_natural_geometric_counts_at_the_natural_ratio_keep_everything():
    assert natural_geometric_counts((90, 7, 30), 90 / 7) == (90, 7, 30)


def test_natural_geometric_counts_refuse_a_factor_below_the_natural_one_and_name_the_smallest():
    with pytest.raises(UserError, match=r"factor 50 is below.*\(12875 to 239 images\).*53\.88\.$"):
        natural_geometric_counts(ISIC, 50.0)
    assert natural_geometric_counts(ISIC, 53.88)[1] == 12875


@pytest.mark.parametrize(
    ("n_classes", "sizes"), [(8, (2, 3, 3)), (7, (2, 2, 3)), (6, (2, 2, 2)), (2, (1, 0, 1))]
)
def test_what_thirds_leave_over_goes_to_few_first(n_classes, sizes):
    groups = groups_by_third(range(n_classes))
    assert tuple(groups.count(name) for name in ("many", "medium", "few")) == sizes


def test_groups_follow_the_rank_of_the_training_count_not_the_class_order():
    assert groups_by_third((5, 100, 20)) == ("few", "many", "medium")


def test_classes_of_equal_count_are_ranked_in_class_order():
    assert groups_by_third((7, 7, 7)) == ("many", "medium", "few")
