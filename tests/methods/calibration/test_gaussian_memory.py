"""What stage 2 holds of class covariances at its highest, which no cutting of batches lowers."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lmd_bench.core import plugins
from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.calibration import ladc
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.calibration._m_step import expected_m_step
from lmd_bench.methods.models.model import Model
from tests.virtual_gpu import Ledger, virtual_gpu

N_CLASSES, WIDTH, N_TRAIN, N_VAL = 8, 192, 160, 40
COPY = N_CLASSES * WIDTH**2 * 8  # bytes of all class covariances in float64
QUICK = {"em_epochs": 2, "estep_steps": 1, "lbfgs_iterations": 2, "n_rounds": 1, "n_steps": 2}
CASES = [
    *(("vfc", {"covariance": of}) for of in ("eps", "oas", "pooled", "tail_borrow")),
    ("vfc", {"m_step": "sampled"}),
    ("icc", {}),
    ("icc", {"m_step": "sampled", "covariance": "shrink_diag", "evaluation": "official"}),
    ("ladc", {}),
    ("lda", {}),
]


class Peak(TorchDispatchMode):
    """Looks at the live bytes of the virtual GPU after each operation, backward included."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger, self.bytes = ledger, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **kwargs or {})
        self.bytes = max(self.bytes, self.ledger.live_bytes())
        return out


def stage1() -> Stage1:
    device = torch.device("cuda")

    def images(n: int) -> ImageSet:
        pixels = torch.randint(0, 256, (n, 4, 4, 3), dtype=torch.uint8)
        return ImageSet(pixels.to(device), (torch.arange(n) % N_CLASSES).to(device))

    features = [torch.rand(n, WIDTH).to(device) for n in (N_TRAIN, N_VAL)]
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, WIDTH))
    model = Model(encoder, nn.Linear(WIDTH, N_CLASSES)).to(device)
    sets = images(N_TRAIN), images(N_VAL)
    return Stage1(model, sets, lambda: (features[0], features[1]), seed=0, on_epoch=no_report)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_no_calibration_holds_more_than_three_copies(
    name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    # The rounds of L-BFGS take the same memory, however many they are.
    monkeypatch.setattr(ladc, "expected_m_step", partial(expected_m_step, n_iterations=2))
    module = plugins.load("calibration", name)
    quick = {key: value for key, value in QUICK.items() if hasattr(module.Config(), key)}
    calibration = plugins.plugin_class("calibration", name)(module.Config(**quick | settings))
    with virtual_gpu() as ledger:
        given = stage1()
        assert given.features[0].is_cuda
        before = ledger.live_bytes()
        with Peak(ledger) as peak:
            calibration.fit(given)
    assert COPY < peak.bytes - before <= 3 * COPY, (peak.bytes - before) / COPY
