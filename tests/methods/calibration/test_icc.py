"""The EM loop: what each repaired defect of the published code now does."""

import pytest
import torch

from lmd_bench.core.seeding import derive_seed
from lmd_bench.methods.calibration import icc
from lmd_bench.methods.calibration._gaussians import ClassMoments
from lmd_bench.methods.limits import in_parts
from lmd_bench.methods.models.model import predict
from lmd_bench.stats.metrics import balanced_accuracy
from tests import tiny

QUICK = {"em_epochs": 2, "estep_steps": 4, "batch_size": 8}


def loop(**settings):
    stage1 = tiny.stage1()
    return icc._EmLoop(icc.Config(**{**QUICK, **settings}), stage1)


def encoder_gradient(**settings) -> float:
    em = loop(**settings)
    gaussians = em._gaussians(em._moments(0))
    em.head.requires_grad_(False)
    loss = em._e_loss(torch.arange(8), gaussians, seed=0)
    if not loss.requires_grad:
        return 0.0
    loss.backward()
    grads = [p.grad for p in em.model.encoder.parameters() if p.grad is not None]
    return float(sum(g.abs().sum() for g in grads))


def test_the_gradient_of_gce_reaches_the_encoder_through_the_frozen_classifier():
    assert encoder_gradient(fdc_weight=0.0) > 0.0


def test_with_the_official_switch_gce_gives_the_encoder_no_gradient():
    assert encoder_gradient(fdc_weight=0.0, estep_gce_grad=False) == 0.0


def test_the_e_step_moves_the_encoder_and_not_the_classifier():
    em = loop()
    encoder = em.model.encoder.network.conv1.weight.detach().clone()
    head = em.head.weight.detach().clone()
    em._e_step(em._gaussians(em._moments(0)), epoch=0)
    assert not torch.equal(encoder, em.model.encoder.network.conv1.weight)
    assert torch.equal(head, em.head.weight)


@pytest.mark.parametrize(("switch", "moves"), [("train", True), ("frozen", False)])
def test_batch_norm_statistics_move_only_where_told_to(switch, moves):
    em = loop(estep_bn=switch)
    before = em.model.encoder.network.bn1.running_mean.clone()
    em._e_step(em._gaussians(em._moments(0)), epoch=0)
    assert torch.equal(before, em.model.encoder.network.bn1.running_mean) is not moves


def test_features_are_evaluated_after_the_e_step():
    stage1 = tiny.stage1()
    reports = []
    stage1.on_epoch = reports.append
    result = icc.Icc(icc.Config(**QUICK, encoder_lr=0.005)).fit(stage1)
    labels = stage1.val_set.labels.numpy()
    final = balanced_accuracy(labels, predict(result.model, stage1.val_set)[1].numpy())
    assert final == pytest.approx(max(point.val_balanced_accuracy for point in reports))


def test_the_official_evaluation_judges_the_encoder_before_the_e_step():
    em = loop(evaluation="official", encoder_lr=0.005)
    before = em.model.encoder.network.conv1.weight.detach().clone()
    _, judged, logits = em.epoch(0)
    assert torch.equal(judged.encoder.network.conv1.weight, before)
    assert not torch.equal(em.model.encoder.network.conv1.weight, before)
    assert torch.allclose(logits, predict(judged, em.stage1.val_set)[1], atol=1e-5)


def test_the_published_average_of_statistics_is_a_running_mean():
    def moments(value: float) -> ClassMoments:
        return ClassMoments(
            torch.full((1, 1), value), torch.full((1, 1, 1), value), torch.tensor([1])
        )

    average = None
    for epoch, value in enumerate((1.0, 2.0, 6.0)):
        average = icc.running_mean(average, moments(value), epoch)
    assert average.mean.item() == pytest.approx(3.0)
    assert average.covariance.item() == pytest.approx(3.0)


def test_a_balanced_bootstrap_changes_each_epoch_and_all_real_does_not():
    drawn = loop(stats_source="balanced_bootstrap")
    assert not torch.equal(drawn._moments(0).mean, drawn._moments(1).mean)
    real = loop()
    assert torch.equal(real._moments(0).mean, real._moments(1).mean)


def test_the_multistep_schedule_divides_both_rates_by_ten_at_each_quarter():
    scales = [icc.multistep_scale(epoch, 200) for epoch in (0, 49, 50, 99, 100, 150, 199)]
    assert scales == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001, 0.001])
    em = loop(em_epochs=4, schedule="multistep")
    em._set_learning_rates(1)
    config = em.config
    for optimiser, start in (
        (em.classifier_optimiser, config.classifier_lr),
        (em.encoder_optimiser, config.encoder_lr),
    ):
        assert optimiser.param_groups[0]["lr"] == pytest.approx(0.1 * start)


@pytest.mark.parametrize(("statistics", "averaged"), [("current", False), ("running_mean", True)])
def test_virtual_features_come_from_the_statistics_asked_for(statistics, averaged, monkeypatch):
    em = loop(virtual_stats=statistics, stats_source="balanced_bootstrap")
    seen = []
    monkeypatch.setattr(em, "_m_step", lambda gaussians: seen.append(gaussians.mean))
    for epoch in range(2):
        em.epoch(epoch)
    assert torch.equal(seen[1], em.average.mean.to(seen[1].dtype)) is averaged


def test_an_augmented_e_step_draws_its_view_by_seed():
    em = loop(estep_view="weak")
    gaussians = em._gaussians(em._moments(0))
    em.model.eval()
    rows = torch.arange(8)
    first, again, other = (em._e_loss(rows, gaussians, seed).item() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def seeds_of_views(n_parts: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    em, seeds, make_view = loop(estep_view="weak", estep_steps=2), [], icc.make_view

    def seen(view, pixels, seed):
        seeds.append(seed)
        return make_view(view, pixels, seed)

    with monkeypatch.context() as patched, in_parts(n_parts):
        patched.setattr(icc, "make_view", seen)
        em._e_step(em._gaussians(em._moments(0)), epoch=0)
    return seeds


def test_each_part_of_a_batch_has_draws_of_its_own_and_a_whole_one_those_of_its_step(monkeypatch):
    whole = [derive_seed(tiny.stage1().seed, "view", 0, step) for step in range(2)]
    assert seeds_of_views(1, monkeypatch) == whole
    # image n of one part is not flipped as image n of the other
    assert len(set(seeds_of_views(2, monkeypatch))) == 4


@pytest.mark.parametrize(
    "bad",
    [{"em_epochs": 0}, {"gce_q": 0.0}, {"eps": 0.0}, {"estep_steps": -1}, {"n_neighbours": 0}],
)
def test_values_for_which_the_loop_is_not_defined_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        icc.Config(**bad)


def steps_taken(**settings) -> int:
    em = loop(**settings)
    taken = []
    em.encoder_optimiser.register_step_post_hook(lambda *_: taken.append(1))
    em._e_step(em._gaussians(em._moments(0)), epoch=0)
    return len(taken)


def test_an_e_step_is_as_long_as_it_is_told_and_zero_is_one_pass():
    assert steps_taken(estep_steps=7) == 7  # beyond the pass of 39 images in batches of 8
    assert steps_taken(estep_steps=0) == 4


def test_the_drift_of_the_features_is_recorded_after_each_e_step():
    em = loop(encoder_lr=0.005)
    before = em.features
    em.epoch(0)
    after = predict(em.model, em.stage1.train_set)[0]
    assert em.drifts == pytest.approx([float((after - before).norm() / before.norm())])
    still = loop(encoder_lr=1e-12, estep_bn="frozen")
    still.epoch(0)
    assert still.drifts[0] < 1e-6


def test_a_calibration_hands_its_drifts_on():
    result = icc.Icc(icc.Config(**QUICK)).fit(tiny.stage1())
    assert len(result.drifts) == QUICK["em_epochs"]


@pytest.mark.parametrize(
    ("setting", "other"),
    [({"fdc_form": "hinge", "margin": 5.0}, {"fdc_form": "hinge"}), ({"fdc_weight": 0.5}, {})],
)
def test_margin_and_weight_reach_the_loss(setting, other):
    def loss(**settings):
        em = loop(**settings)
        em.model.eval()
        return em._e_loss(torch.arange(8), em._gaussians(em._moments(0)), seed=0).item()

    assert loss(**setting) != loss(**other)


def test_the_number_of_neighbours_reaches_the_gaussians():
    few, many = (loop(covariance="tail_borrow", n_neighbours=n) for n in (1, 2))
    assert not torch.equal(
        few._gaussians(few._moments(0)).covariance, many._gaussians(many._moments(0)).covariance
    )


def test_the_gradient_of_the_default_fdc_weighs_against_that_of_gce():
    """At the published weight over the width it is a thousandth of it, and FDC a dead switch."""
    by_fdc, by_gce = encoder_gradient(estep_gce_grad=False), encoder_gradient(fdc_weight=0.0)
    assert by_fdc > 0.02 * by_gce


def test_a_clip_gives_the_repulsion_a_floor():
    """Without one, a frozen BatchNorm lets the features run away from the rare classes."""
    em = loop(estep_gce_grad=False, fdc_clip=2.0)
    gaussians, labels = em._gaussians(em._moments(0)), em.stage1.train_set.labels
    at_own_mean = gaussians.mean[labels]
    away = em.config.fdc_weight * em.config.fdc_clip
    assert icc.e_step_loss(em.config, at_own_mean, labels, gaussians, em.head).item() >= -away
    without = icc.Config(fdc_clip=0.0)
    far = gaussians.mean[labels] * 100
    assert icc.e_step_loss(em.config, far, labels, gaussians, em.head) > (
        icc.e_step_loss(without, far, labels, gaussians, em.head)
    )
