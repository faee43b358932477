"""Fixtures shared by all tests."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: tiny tensors lose time in threads
os.environ["MKL_NUM_THREADS"] = "1"

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep prepared arrays of tests out of the user's cache."""
    before = os.environ.get("LMD_BENCH_CACHE")
    os.environ["LMD_BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["LMD_BENCH_CACHE"]
    else:
        os.environ["LMD_BENCH_CACHE"] = before


@pytest.fixture(autouse=True)
def _no_plugins_from_outside(monkeypatch: pytest.MonkeyPatch):
    """Leave what a test, or the machine, takes from outside the package to that test."""
    monkeypatch.setenv("LMD_BENCH_PLUGINS", "")


@pytest.fixture
def narrow_resnets(monkeypatch: pytest.MonkeyPatch):
    """Make ResNets an eighth as wide: most of what they cost on tiny images is their weights."""
    from torchvision.models.resnet import ResNet

    from lmd_bench.methods.models import encoder

    wide = ResNet._make_layer

    def narrow(self, block, planes, *rest, **options):
        return wide(self, block, planes // 8, *rest, **options)

    monkeypatch.setattr(ResNet, "_make_layer", narrow)
    encoder._widths.cache_clear()
    yield
    encoder._widths.cache_clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images, or skip."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("LMD_BENCH_SHARED_DATA", beside))
    if not root.is_dir():
        pytest.skip("the real images are not here; LMD_BENCH_SHARED_DATA names their folder")
    return root
