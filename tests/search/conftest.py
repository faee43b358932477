from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_search import TASK

from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.search.request import SearchRequest


@pytest.fixture
def ask() -> Callable[..., SearchRequest]:
    """Return a maker of requests: method names, then any field."""

    def make(*names: str, **fields: Any) -> SearchRequest:
        methods = tuple(resolve_method(name) for name in names)
        defaults = {"tasks": (TASK,), "results": Path("nowhere"), "n_trials": 4, "n_epochs": 2}
        return SearchRequest(methods=methods, **(defaults | {"confirm_seeds": 2} | fields))

    return make
