"""Every stage, view and mixing on a virtual GPU: one device, no wait in a step, nothing left."""

import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lmd_bench.contract import tiny
from lmd_bench.core import plugins
from lmd_bench.core.schema import TrialContext, no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.limits import recomputes
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.models.precision import grad_scaler
from lmd_bench.methods.representation._base import Representation
from lmd_bench.methods.representation._momentum import move_towards
from lmd_bench.training import device, loop, trial
from lmd_bench.training.feed import Feed
from tests.training.test_trial import make_spec
from tests.virtual_gpu import DeviceMismatch, Ledger, virtual_gpu

pytestmark = pytest.mark.usefixtures("narrow_resnets")
CUDA = torch.device("cuda")
PACKAGE = Path(plugins.__file__).parents[1]
# where results in half precision belong: what runs an encoder
ENCODERS = ("methods/models/", "training/loop.py", "methods/representation/_momentum.py")
# every loop of a stage 2, once: where its tensors lie does not depend on how often it turns
SHORT = {"em_epochs": 1, "estep_steps": 2, "lbfgs_iterations": 2, "n_epochs": 1, "n_rounds": 1}


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in (PACKAGE / "methods" / kind).glob("[!_]*.py"))


def on_gpu(images: ImageSet) -> ImageSet:
    return ImageSet(images.pixels.to(CUDA), images.labels.to(CUDA))


def one_step(name: str, bf16: bool = True, **training) -> Ledger:
    """Run three steps of a stage 1, and return what the third did."""
    stages = tiny.pipeline(name)
    config = replace(stages.training, batch_size=12, **training)
    stages = replace(stages, training=config)
    with virtual_gpu(bf16) as ledger:
        train_set = on_gpu(tiny.sets()[0])
        model = stages.new_model(len(tiny.COUNTS), 0, CUDA).train()
        method = stages.stage1(model, torch.tensor(tiny.COUNTS).to(CUDA), 100, 0)
        optimiser = loop.make_optimiser(model, method.extra, config)
        scaler = grad_scaler(CUDA)
        feed = Feed(method, train_set, config, 0)
        for step in (97, 98, 99):
            ledger.waits.clear()
            ledger.operations = 0
            parts = feed.parts(torch.arange(12) + step - 90, step, 1)
            loop._step(feed, optimiser, scaler, parts, step)
        assert all(p.grad is None or p.grad.is_cuda for p in model.parameters())
    return ledger


def assert_clean(ledger: Ledger) -> None:
    assert dict(ledger.waits) == {}
    halves = {place for _, place in ledger.halves if not place.startswith(ENCODERS)}
    heads = {place for _, place in ledger.halves if "heads.py" in place}
    assert halves | heads == set()
    assert dict(ledger.unseeded) == {}
    assert 0 < ledger.operations < 5000


@pytest.mark.parametrize("name", names("representation"))
def test_a_step_waits_for_nothing_and_leaves_bfloat16_to_encoders(name: str):
    assert_clean(one_step(name))


@pytest.mark.parametrize("view", ["weak", "randaugment", "simaugment"])
def test_a_view_waits_for_nothing(view: str):
    assert_clean(one_step("cross_entropy", augmentation=view))


@pytest.mark.parametrize("mixing", ["mixup", "cutmix", "remix", "cmo"])
def test_a_mixing_waits_for_nothing(mixing: str):
    assert_clean(one_step("cross_entropy", mixing=mixing, augmentation="weak"))


def test_a_sharpness_aware_step_waits_for_nothing():
    assert_clean(one_step("cross_entropy", sam_rho=0.05, augmentation="weak"))


def stage1(ledger: Ledger) -> Stage1:
    train, val = (on_gpu(images) for images in tiny.sets())
    model = tiny.model().to(CUDA).eval()
    features = (predict(model, train)[0], predict(model, val)[0])
    ledger.waits.clear()
    return Stage1(model, (train, val), lambda: features, seed=0, on_epoch=no_report)


@pytest.mark.parametrize("name", names("calibration"))
def test_a_calibration_stays_on_the_gpu(name: str):
    with virtual_gpu() as ledger:
        given = stage1(ledger)
        config = plugins.load("calibration", name).Config()
        config = replace(config, **{k: v for k, v in SHORT.items() if hasattr(config, k)})
        final = plugins.plugin_class("calibration", name)(config).fit(given).model
        assert predict(final, given.val_set)[1].is_cuda


def test_a_grid_of_taus_waits_for_the_gpu_a_few_times_and_not_for_each():
    with virtual_gpu() as ledger:
        given = stage1(ledger)
        plugin = plugins.plugin_class("calibration", "logit_adjustment")
        plugin(plugins.load("calibration", "logit_adjustment").Config()).fit(given)
        assert 0 < sum(ledger.waits.values()) < 10


@pytest.mark.parametrize("form", ["signed", "official", "hinge", "qda_ce"])
def test_an_e_step_waits_only_at_its_end(form: str):
    with virtual_gpu() as ledger:
        given = stage1(ledger)
        module = plugins.load("calibration", "icc")
        one, two = (
            module._EmLoop(module.Config(fdc_form=form, estep_steps=n), given) for n in (1, 2)
        )
        gaussians = one._gaussians(one._moments(0))
        # Factored when first asked for, which waits once, and kept.
        assert gaussians.whitener.is_cuda
        assert gaussians.cholesky.is_cuda
        assert len(given.train_set.labels_on_cpu)  # copied once, whoever asks first
        counts: list[int] = []
        for em in (one, two):
            ledger.waits.clear()
            em._e_step(gaussians, 0)
            counts.append(sum(ledger.waits.values()))
        assert counts == [1, 1], dict(ledger.waits)  # a further step adds no wait


ICC = {f"icc.{name}": SHORT[name] for name in ("em_epochs", "estep_steps", "lbfgs_iterations")}


@pytest.mark.parametrize(("method", "settings"), [("lmd", ICC), ("ride+knn", {})])
def test_a_trial_leaves_nothing_on_the_gpu(method: str, settings: dict, tmp_path: Path):
    spec = replace(make_spec(method, **settings), n_epochs=1)
    with virtual_gpu() as ledger:
        context = TrialContext(results=tmp_path, device="cuda", gpu_share=1.0)
        row = trial.execute_trial(spec, context, no_report)
        assert (row["status"], row["device"]) == ("ok", "virtual GPU"), row["cause"]
        assert ledger.live_bytes() == 0


def test_a_trial_on_stored_features_copies_no_training_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copied: list[int] = []
    gather = device.gather

    def counted(mapped, rows, *, pinned):
        copied.append(len(rows))
        return gather(mapped, rows, pinned=pinned)

    monkeypatch.setattr(device, "gather", counted)
    spec = replace(make_spec("cross_entropy+tau_norm"), n_epochs=1)
    with virtual_gpu():
        context = TrialContext(results=tmp_path, device="cuda", gpu_share=1.0)
        row = trial.execute_trial(spec, context, no_report)
        assert copied == [row["n_train"], row["n_val"]], row["cause"]
        copied.clear()
        trial.execute_trial(spec, context, no_report)  # on the encoder and features of the first
        assert copied == [row["n_val"]]


def test_teachers_and_sharpness_launch_one_operation_for_all_parameters():
    values = [torch.full((2, n + 1), float(n)) for n in range(9)]
    with virtual_gpu() as ledger:
        here, there = ([value.to(CUDA) for value in values] for _ in range(2))
        ledger.operations = 0
        move_towards(here, [value + 1 for value in there], 0.5)
        assert ledger.operations == len(values) + 1  # the sums, and one for the move
        for value, moved in zip(values, here, strict=True):
            assert torch.equal(moved.to("cpu"), value + 0.5)
        model = tiny.model().to(CUDA)
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        ledger.operations = 0
        with loop.sharpened(parameters, 0.1):
            pass
    # Each is cloned by itself; the rest does not grow with their number.
    assert ledger.operations < 2 * len(parameters) + 20


@pytest.mark.parametrize(
    ("error", "status"), [(torch.OutOfMemoryError("drawn"), "oom"), (ValueError("a bug"), "error")]
)
def test_a_failed_trial_leaves_nothing_on_the_gpu(
    error: Exception, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(self, step: int) -> None:
        raise error

    monkeypatch.setattr(Representation, "after_step", fail)
    with virtual_gpu() as ledger:
        context = TrialContext(results=tmp_path, device="cuda", gpu_share=1.0)
        spec = replace(make_spec("cross_entropy"), n_epochs=1)
        row = trial.execute_trial(spec, context, no_report)
        error.__traceback__ = None
        assert row["status"] == status
        assert ledger.live_bytes() == 0


def test_activations_are_computed_again_on_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where memory ran out once: with its BatchNorm on the device, and nothing left there."""
    tried: list[bool] = []

    def after_step(self, step: int) -> None:
        tried.append(recomputes())
        if not recomputes():
            raise torch.OutOfMemoryError("drawn")

    monkeypatch.setattr(Representation, "after_step", after_step)
    spec = replace(make_spec("cross_entropy"), n_epochs=1)
    with virtual_gpu() as ledger:
        context = TrialContext(results=tmp_path, device="cuda", gpu_share=1.0)
        row = trial.execute_trial(spec, context, no_report)
        assert (row["status"], row["recomputed"], row["n_parts"]) == ("ok", True, 1), row["cause"]
        assert tried[:2] == [False, True]
        assert ledger.live_bytes() == 0


MOVE = ".to(logits.device, non_blocking=True)"


@pytest.mark.parametrize(
    ("name", "owner", "call"),
    [
        ("gcl", "Gcl", MOVE),
        ("equalization", "Equalization", MOVE),
        ("proco_medical", "ProcoMedical", ".to(self.class_counts.device)"),
    ],
)
def test_a_missing_move_to_the_device_is_found_with_its_line(
    name: str, owner: str, call: str, monkeypatch: pytest.MonkeyPatch
):
    module = importlib.import_module(f"lmd_bench.methods.representation.{name}")
    source = inspect.getsource(module)
    assert call in source
    broken = dict(vars(module))
    exec(compile(source.replace(call, ""), str(module.__file__), "exec"), broken)
    monkeypatch.setattr(module, owner, broken[owner])
    with pytest.raises(DeviceMismatch, match=rf"{name}\.py:\d+"):
        one_step(name)


def test_the_simulation_sees_mistakes_and_waits():
    with virtual_gpu() as ledger:
        here, there = torch.ones(3).to("cuda"), torch.ones(3)
        with pytest.raises(DeviceMismatch):
            here + there
        with pytest.raises(DeviceMismatch):
            torch.randn(3, device="cuda", generator=torch.Generator())
        with pytest.raises(TypeError):
            here.numpy()
        ledger.waits.clear()
        assert float(here.sum()) == 3.0
        assert here[here > 0].is_cuda
        assert here.tolist() == [1.0] * 3
        assert sum(ledger.waits.values()) >= 3
        assert ledger.live_bytes() > 0
