"""--gpus-per-trial auto: which trials are measured, and what follows from the measure."""

from dataclasses import replace

import pytest
import ray

from lmd_bench.core.errors import UserError
from lmd_bench.search.options import Resources
from lmd_bench.search.tune import cluster
from lmd_bench.search.tune.gpu_share import probes
from lmd_bench.training.memory import CONTEXT_BYTES, MARGIN, even_share, share_needed


def test_a_share_holds_the_tensors_with_a_margin_and_cuda_itself():
    total = 80 * 2**30
    assert share_needed(0, total) == CONTEXT_BYTES / total
    expected = (MARGIN * 8 * 2**30 + CONTEXT_BYTES) / total
    assert share_needed(8 * 2**30, total) == pytest.approx(expected)
    assert share_needed(total, total) == 1.0


@pytest.mark.parametrize(("need", "share"), [(0.21, 0.25), (0.25, 0.25), (0.26, 1 / 3), (0.6, 1)])
def test_trials_fill_a_gpu_evenly(need, share):
    assert even_share(need) == share


def test_each_stage_1_is_measured_once_at_its_largest_batch(ask):
    request = ask("crt", "vfc", "focal", ranges={"training.batch_size": "32,256"})
    found = [
        (spec.representation, spec.config["training.batch_size"]) for spec, _ in probes(request)
    ]
    assert found == [("cross_entropy", 256), ("focal", 256)]
    assert all(context.device == "cuda" for _, context in probes(request))


@pytest.fixture
def two_gpus(monkeypatch):
    """Stand for a cluster of 8 cores and 2 GPUs on which focal takes the most memory."""
    measured = {"cross_entropy": 0.21, "focal": 0.3}

    class Remote:
        def remote(self, spec, context):
            assert context.device == "cuda"
            return measured[spec.representation]

    def decorator(**options):
        assert options["num_gpus"] == 1  # a probe has the GPU for itself
        return lambda function: Remote()

    monkeypatch.setattr(ray, "remote", decorator)
    monkeypatch.setattr(ray, "get", lambda value: value)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    node = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [node])


def test_auto_gives_each_trial_what_the_largest_of_all_stages_1_takes(ask, two_gpus):
    request = replace(ask("crt", "vfc", "focal"), gpus_per_trial="auto", address="10.0.0.1:6379")
    slots = cluster.find_slots(request)
    assert slots.gpus == pytest.approx(1 / 3)  # the least even share above 0.3
    assert slots.n_slots == 6


def test_a_probe_that_fails_asks_for_a_whole_gpu_and_ends_no_search(ask, two_gpus, monkeypatch):
    def get(value):
        if value == 0.3:
            raise ray.exceptions.WorkerCrashedError
        return value

    monkeypatch.setattr(ray, "get", get)
    request = replace(ask("crt", "vfc", "focal"), gpus_per_trial="auto", address="10.0.0.1:6379")
    slots = cluster.find_slots(request)
    assert (slots.gpus, slots.n_slots) == (1.0, 2)


def test_auto_without_a_gpu_runs_on_the_cores(ask, monkeypatch):
    monkeypatch.setattr(cluster, "n_gpus", lambda: 0)
    slots = cluster.find_slots(replace(ask("crt"), gpus_per_trial="auto"))
    assert slots.gpus == 0


def test_a_share_is_a_number_or_auto():
    assert Resources(gpus_per_trial="0.5").fields()["gpus_per_trial"] == 0.5
    assert Resources(gpus_per_trial="auto").fields()["gpus_per_trial"] == "auto"
    with pytest.raises(UserError, match="neither a number nor `auto`"):
        Resources(gpus_per_trial="half").fields()
