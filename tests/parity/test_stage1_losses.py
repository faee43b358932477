"""Stage-1 losses give the values and gradients of their authors' code."""

import pytest
import torch
import torch.nn.functional as F

from lmd_bench.methods.class_weights import (
    effective_number_weights,
    inverse_frequency_weights,
    of_mean_one,
    smoothed_cross_entropy,
    smoothing,
)
from lmd_bench.methods.representation._contrastive import (
    balanced_contrastive,
    supervised_contrastive,
)
from lmd_bench.methods.representation.equalization import spared_logits
from lmd_bench.methods.representation.focal import focal_losses, focused
from lmd_bench.methods.representation.gcl import cloud_sizes, clouded
from lmd_bench.methods.representation.influence_balanced import influence
from lmd_bench.methods.representation.paco import Config as PacoConfig
from lmd_bench.methods.representation.paco import parametric_contrastive
from lmd_bench.methods.representation.ride import class_temperatures, distance_to_mean
from lmd_bench.methods.representation.rrl import (
    batch_relation_loss,
    channel_relation_loss,
    probability_loss,
)
from lmd_bench.methods.representation.sade import inverse_prior
from tests.parity.reference import check, close, load, method

# plug-in, file, reference value, step of 200, settings
PLAIN = [
    ("balanced_softmax", "balanced_softmax", "loss", 0, {}),
    ("logit_adjusted", "logit_adjusted_loss", "tau0p5", 0, {"tau": 0.5}),
    ("logit_adjusted", "logit_adjusted_loss", "tau1", 0, {"tau": 1.0}),
    ("logit_adjusted", "logit_adjusted_loss", "tau1p5", 0, {"tau": 1.5}),
    ("logit_adjusted", "logit_adjusted_loss", "bcl_tau1", 0, {"tau": 1.0}),
    ("vs_loss", "vs", "loss", 0, {}),
    ("vs_loss", "vs", "g15_t150", 0, {"gamma": 0.15, "tau": 1.5}),
    ("vs_loss", "cdt", "loss", 0, {"gamma": 0.2, "tau": 0.0}),
    ("focal", "focal", "gamma1", 0, {"gamma": 1.0}),
    ("focal", "focal", "gamma2", 0, {"gamma": 2.0}),
    ("class_balanced", "drw", "before", 159, {"start": 0.8}),
]


@pytest.mark.parametrize(("name", "file", "value", "step", "settings"), PLAIN)
def test_a_loss_of_logits_is_the_authors(name, file, value, step, settings):
    arrays = load(file)
    ours = method(name, arrays["counts"], **settings)
    features, labels = torch.ones(32, 1), arrays["labels"]
    check(lambda z: ours.criterion(features, z, labels, step), arrays, "logits", value)


@pytest.mark.parametrize(("value", "step"), [("before", 159), ("after", 160)])
def test_ldam_is_the_authors_before_and_after_the_switch(value: str, step: int):
    arrays = load("ldam")
    ours = method("ldam_drw", arrays["counts"])
    assert close(ours.margins, arrays["margins"])
    scale, labels = float(arrays["scale"]), arrays["labels"]
    features = torch.ones(32, 1)
    check(lambda c: ours.criterion(features, scale * c, labels, step), arrays, "cosine", value)


def test_effective_number_weights_are_the_authors():
    arrays = load("class_balanced_ce")
    weights = effective_number_weights(arrays["counts"], float(arrays["beta"]))
    assert close(weights, arrays["weights"])


def test_class_balanced_cross_entropy_is_the_authors_over_the_mean_weight():
    arrays = load("class_balanced_ce")
    counts, labels = arrays["counts"], arrays["labels"]
    ours = method("class_balanced", counts, beta=float(arrays["beta"]))
    mean_weight = float((counts / counts.sum() * arrays["weights"]).sum())
    assert 0.1 < mean_weight < 0.3
    check(
        lambda z: ours.criterion(torch.ones(32, 1), z, labels, 0),
        arrays,
        "logits",
        factor=1 / mean_weight,
    )


def test_deferred_re_weighting_is_the_authors_but_for_the_constant():
    arrays = load("drw")
    counts, labels = arrays["counts"], arrays["labels"]
    ours = method("class_balanced", counts, start=0.8, beta=float(arrays["beta"]))
    of_batch = arrays["weights_after"][labels].mean()  # what theirs divides by
    mean_weight = (counts / counts.sum() * arrays["weights_after"]).sum()
    check(
        lambda z: ours.criterion(torch.ones(32, 1), z, labels, 160),
        arrays,
        "logits",
        "after",
        factor=float(of_batch / mean_weight),
    )


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_cb_focal_is_the_authors_over_the_mean_weight(gamma: float):
    arrays = load("cb_focal")
    counts, labels = arrays["counts"], arrays["labels"]
    ours = method("focal", counts, gamma=gamma, beta=float(arrays["beta"]), form="sigmoid")
    mean_weight = float((counts / counts.sum() * arrays["weights"]).sum())
    check(
        lambda z: ours.criterion(torch.ones(32, 1), z, labels, 0),
        arrays,
        "logits",
        f"gamma{gamma}".replace(".", "p"),
        factor=1 / mean_weight,
    )


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_focal_loss_of_ldam_drw_has_the_weights_inside_and_ours_outside(gamma: float):
    arrays = load("focal")
    logits, labels, weights = (arrays[key] for key in ("logits", "labels", "weights"))
    losses = F.cross_entropy(logits, labels, reduction="none")
    theirs = focused(weights[labels] * losses, gamma).mean()
    assert close(theirs, arrays[f"weighted_gamma{gamma:.0f}"], 1e-9)
    outside = (weights[labels] * focal_losses(logits, labels, gamma)).mean()
    assert not close(outside, arrays[f"weighted_gamma{gamma:.0f}"], 1e-2)


def test_seesaw_is_the_authors_over_two_batches_and_on_confident_mistakes():
    arrays = load("seesaw")
    ours = method("seesaw", torch.ones(8, dtype=torch.long))
    for value, batch in (("first", ""), ("second", "_second")):
        labels = arrays[f"labels{batch}"]
        check(
            lambda z, y=labels: ours.criterion(torch.ones(32, 1), z, y, 0),
            arrays,
            f"logits{batch}",
            value,
            tolerance=1e-4,
        )
        assert close(ours.seen, arrays[f"cum_{value}"])
    fresh, labels = method("seesaw", torch.ones(8, dtype=torch.long)), arrays["labels"]
    check(
        lambda z: fresh.criterion(torch.ones(32, 1), z, labels, 0),
        arrays,
        "logits_confident",
        "confident",
        tolerance=1e-4,
    )


def test_softmax_equalisation_is_the_equation_as_the_survey_coded_it():
    arrays = load("equalization")
    labels, counts = arrays["labels"], arrays["counts"]
    rare = counts / counts.sum() < arrays["lambda"]
    assert torch.equal(rare, arrays["rare"])
    spared = (arrays["draws"] < arrays["gamma"]) & rare
    check(lambda z: F.cross_entropy(spared_logits(z, labels, spared), labels), arrays, "logits")


def test_gaussian_clouded_logits_are_the_authors():
    arrays = load("gcl")
    labels, scale = arrays["labels"], float(arrays["scale"])
    sizes = cloud_sizes(arrays["counts"])
    assert close(sizes, arrays["r"])
    cloud = scale * float(arrays["noise_mul"]) * sizes
    noise = arrays["noise"].float()
    check(lambda c: F.cross_entropy(clouded(scale * c, noise, cloud), labels), arrays, "cosine")


@pytest.mark.parametrize(
    ("inputs", "value", "tolerance"),
    [("logits", "loss", 1e-5), ("logits_fitted", "fitted", 1e-2)],
)
def test_influence_balanced_is_the_authors_with_a_detached_factor(inputs, value, tolerance):
    arrays = load("influence_balanced")
    counts, labels, features = arrays["counts"], arrays["labels"], arrays["features"].float()
    assert close(inverse_frequency_weights(counts, 1.0), arrays["weights"])
    of_images = influence(features, arrays[inputs].float(), labels)
    assert close(arrays["alpha"] / (of_images + 1e-3), arrays[f"factor_{value}"], tolerance)
    # alpha is the mean influence of the batch, and lambda has mean 1 over the training images
    constant = (of_images.mean() / arrays["alpha"]) * (
        of_mean_one(arrays["weights"], counts)[0] / arrays["weights"][0]
    )
    ours = method("influence_balanced", counts)
    check(
        lambda z: ours.criterion(features, z, labels, 100),
        arrays,
        inputs,
        f"{value}_factor_detached",
        factor=float(constant),
        tolerance=tolerance,
    )


@pytest.mark.parametrize(
    ("value", "temperature"), [("temperature0p1", 0.1), ("temperature0p07", 0.07)]
)
def test_balanced_contrastive_learning_is_the_authors(value: str, temperature: float):
    arrays = load("bcl")
    labels = arrays["labels"].repeat(2)

    def loss(embeddings: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
        views = embeddings.transpose(0, 1).flatten(0, 1)
        return balanced_contrastive(views, labels, centres, temperature)

    check(loss, arrays, "embeddings centres", value)


@pytest.mark.parametrize(
    ("value", "temperature", "factor"),
    # theirs multiplies by temperature / base_temperature, .07 by default
    [("loss", 0.1, 1.0), ("default_base", 0.1, 0.07 / 0.1), ("temperature0p07", 0.07, 1.0)],
)
def test_supervised_contrast_is_the_authors_but_for_their_constant(value, temperature, factor):
    arrays = load("supcon")
    labels = arrays["labels"].repeat(2)
    check(
        lambda e: supervised_contrastive(e.transpose(0, 1).flatten(0, 1), labels, temperature),
        arrays,
        "embeddings",
        value,
        factor=factor,
    )


@pytest.mark.parametrize(("value", "alpha"), [("alpha0p05", 0.05), ("alpha1", 1.0)])
def test_parametric_contrast_is_the_authors(value: str, alpha: float):
    arrays = load("paco")
    counts, labels = arrays["counts"], arrays["labels"]
    log_prior = (counts / counts.sum()).log()
    config = PacoConfig(
        centre_weight=float(arrays["beta"]),
        sample_weight=alpha,
        temperature=float(arrays["temperature"]),
    )

    def loss(features: torch.Tensor, sup_logits: torch.Tensor) -> torch.Tensor:
        return parametric_contrastive(
            sup_logits + log_prior, features[:16], labels[:16], features[16:], labels[16:], config
        )

    check(loss, arrays, "features sup_logits", value)


@pytest.mark.parametrize(("value", "step"), [("before", 159), ("after", 160)])
def test_ride_is_the_authors_before_and_after_the_switch(value: str, step: int):
    arrays = load("ride")
    labels, counts = arrays["labels"], arrays["counts"]
    ours = method("ride", counts, diversity=float(arrays["diversity_factor"]))
    check(lambda z: ours.criterion(z, labels, step), arrays, "expert_logits", value)
    alone = method("ride", counts, diversity=0.0)
    check(lambda z: alone.criterion(z, labels, step), arrays, "expert_logits", f"{value}_ldam")
    temperatures = class_temperatures(counts, 1.0, 0.05 if value == "after" else 0.0)
    diversity = float(arrays["diversity_factor"])
    check(
        lambda z: diversity * distance_to_mean(z, temperatures).sum(),
        arrays,
        "expert_logits",
        f"{value}_diversity",
    )


def test_ride_lowers_the_temperature_of_rare_classes_as_the_authors_do():
    arrays = load("ride")
    temperatures = class_temperatures(arrays["counts"], 1.0, 0.05)
    assert close(temperatures, arrays["diversity_weights"])
    assert close(temperatures.mean(), arrays["temperature_mean"])


def test_sade_is_the_authors():
    arrays = load("sade")
    labels = arrays["labels"]
    ours = method("sade", arrays["counts"], tau=float(arrays["tau"]))
    check(lambda z: ours.criterion(z, labels, 0), arrays, "expert_logits")
    assert close(inverse_prior(arrays["prior"]), arrays["inverse_prior"])
    assert close(inverse_prior(arrays["prior_unsorted"]), arrays["inverse_of_unsorted"])


def test_the_official_form_of_gala_is_the_authors_over_twenty_steps():
    arrays = load("gala")
    ours = method("gala", torch.ones(8, dtype=torch.long), negative_term="official")
    for step, (logits, labels) in enumerate(zip(arrays["logits"], arrays["labels"], strict=True)):
        of_step = {
            "logits": logits,
            "loss": arrays["losses"][step],
            "grad_logits": arrays["grads_logits"][step],
        }
        check(lambda z, y=labels: ours.criterion(torch.ones(16, 1), z, y, 0), of_step, "logits")
        assert close(ours.positive, arrays["positive"][step])


def test_label_aware_smoothing_is_the_authors_at_the_share_of_the_other_classes():
    arrays = load("mislas")
    labels, counts = arrays["labels"], arrays["counts"]
    for row, (head, tail) in enumerate(zip(arrays["head"], arrays["tail"], strict=True)):
        of_class = arrays["epsilon"][row]
        if close(smoothing(counts, float(head), float(tail)), of_class):  # their concave shape
            # theirs smooths over all K classes, ours over the other K - 1
            check(
                lambda z, e=of_class: smoothed_cross_entropy(z, labels, e.float() * 7 / 8),
                arrays,
                "logits",
                f"set{row}",
                tolerance=1e-4,
            )


@pytest.mark.parametrize(
    ("value", "loss", "inputs", "teacher"),
    [
        ("probability", probability_loss, "logits", "teacher_logits"),
        ("batch", batch_relation_loss, "features", "teacher_features"),
        (
            "channel",
            lambda s, t: channel_relation_loss(s, t, "batch"),
            "features",
            "teacher_features",
        ),
    ],
)
def test_the_losses_of_rrl_are_the_authors(value, loss, inputs, teacher):
    arrays = load("rrl")
    check(lambda x: loss(x, arrays[teacher].float()), arrays, inputs, value)
