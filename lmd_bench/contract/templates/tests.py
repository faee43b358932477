"""What has to hold of template_name: the contract of its kind. Add what its equation says."""

from pathlib import Path

import pytest

from lmd_bench import add_plugins
from lmd_bench.contract.check import Check, checks

add_plugins([Path(__file__).with_name("template_name.py")])


@pytest.mark.parametrize(
    "check", checks("calibration", "template_name"), ids=lambda check: check.title
)
def test_the_contract_holds(check: Check) -> None:
    """What `lmd-bench check-plugin template_name.py` prints."""
    assert check.failure() == ""
