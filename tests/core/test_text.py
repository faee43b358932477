import pytest

from lmd_bench.core.schema import TaskSpec
from lmd_bench.core.text import factor_name, task_slug


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
