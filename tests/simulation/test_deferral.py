"""What is read of a plug-in's file is what its class says."""

import pytest

from lmd_bench import plugins
from lmd_bench.search_space import Method, default_config, section_config
from lmd_bench.simulation.deferral import deferral_of


@pytest.mark.parametrize("name", plugins.names("representation"))
def test_the_deferral_read_is_that_of_the_class(name):
    config = default_config(Method(name, name, "none"))
    starts = [config] + [
        {**config, f"{name}.start": start} for start in (0.3, 0.7) if f"{name}.start" in config
    ]
    for one in starts:
        expected = plugins.plugin_class("representation", name).deferral(section_config(name, one))
        assert deferral_of(name, one) == expected


def test_some_representations_defer():
    config = default_config(Method("ldam_drw", "ldam_drw", "none"))
    assert deferral_of("ldam_drw", {**config, "ldam_drw.start": 0.75}) == 0.75
    assert deferral_of("cross_entropy", config) == 0.0
