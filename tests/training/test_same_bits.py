"""--deterministic on a GPU: kernels that give the same bits, for the trial alone."""

import os
from pathlib import Path

import pytest
import torch

from lmd_bench.core.schema import TrialContext, no_report
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.search.request import SearchRequest
from lmd_bench.training import trial
from tests.training.test_trial import TASK, fingerprint, make_spec
from tests.virtual_gpu import virtual_gpu

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


def flags() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_only_a_deterministic_trial_on_a_gpu_sets_the_flags(
    deterministic: bool, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # set and deleted, so that it is put back after the test
    monkeypatch.setenv(CUBLAS, "")
    monkeypatch.delenv(CUBLAS)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before, seen = flags(), []

    def look(*rest):
        seen.append((flags(), os.environ.get(CUBLAS)))
        raise OSError("far enough")

    def check(device: torch.device):
        # cuBLAS starts here
        seen.append((flags(), os.environ.get(CUBLAS)))

    monkeypatch.setattr(trial, "check_device", check)
    monkeypatch.setattr(trial, "load_task", look)
    context = TrialContext(results=tmp_path, device=device, deterministic=deterministic)
    with virtual_gpu(), pytest.raises(Exception, match="far enough"):
        trial.execute_trial(make_spec("cross_entropy"), context, no_report)
    if deterministic and device == "cuda":
        assert seen == [((True, True, False), ":4096:8")] * 2
    else:
        assert seen == [(before, None)] * 2
    assert flags() == before


def test_a_search_hands_the_option_on_to_its_trials(tmp_path: Path):
    asked = (resolve_method("crt"),), ((TASK, fingerprint()),)
    request = SearchRequest(*asked, tmp_path, deterministic=True)
    assert request.context("synthetic").deterministic
