import pytest

from lmd_bench.core.schema import TaskSpec
from lmd_bench.core.text import factor_name, natural_order, task_slug


@pytest.mark.parametrize(
    ("factor", "expected"), [(None, "natural"), (float("nan"), "natural"), (100.0, "IF 100")]
)
def test_a_factor_is_a_number_or_natural(factor: float | None, expected: str) -> None:
    assert factor_name(factor, "IF ") == expected


def test_ids_of_stored_studies_name_their_task_as_they_always_did() -> None:
    task = TaskSpec("ham10000", imbalance_factor=100.0, image_size=64, split_seed=1)
    natural = TaskSpec("ham10000", image_size=64)

    assert task_slug(task, "3fa2b01c77") == "ham10000-balanced-if100-64px-split1-3fa2b01c"
    assert task_slug(natural, "3fa2b01c77") == "ham10000-balanced-ifnatural-64px-split0-3fa2b01c"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("0", "1", "10", "2"), ["0", "1", "2", "10"]),
        (("grade 1", "grade 10", "grade 2"), ["grade 1", "grade 2", "grade 10"]),
        (("1", "10", "1a", "a1"), ["1", "1a", "10", "a1"]),
        (("02", "1", "2"), ["1", "02", "2"]),
        (("\u0663", "\u0661\u0660"), ["\u0663", "\u0661\u0660"]),
        (("MEL", "BCC 10", "BCC 2"), ["MEL", "BCC 10", "BCC 2"]),
        ((), []),
    ],
)
def test_classes_with_numbers_are_shown_as_people_count(names, shown) -> None:
    assert [names[i] for i in natural_order(names)] == shown
