"""What surrounds the losses of stage 1: heads, branches, teachers, mixtures and draws."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.data.views.mixing import Mixture, _cut, join, remixed
from lmd_bench.methods.models.branches import BranchedEncoder
from lmd_bench.methods.models.heads import CosineHead
from lmd_bench.methods.models.model import Model
from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.representation._momentum import ema_alpha, move_towards
from lmd_bench.methods.representation.bbn import Bbn, Config, natural_weight
from lmd_bench.methods.representation.resampling import power_weights, progressive_weights
from tests.parity.reference import check, close, load


def test_the_cosine_head_is_the_authors():
    arrays = load("cosine_head")
    head, upstream = CosineHead(16, 8, scale=1.0), arrays["upstream"].float()
    columns = arrays["weight_columns"].float()
    head.weight = nn.Parameter(columns.T.contiguous())
    features = arrays["features"].float().requires_grad_()
    output = head(features)
    assert close(output.detach(), arrays["output"])
    (output * upstream).sum().backward()
    assert close(features.grad, arrays["grad_features"])
    assert close(head.weight.grad.T, arrays["grad_weight_columns"])


@pytest.mark.parametrize("width", [16, 512])
def test_class_weights_start_as_long_as_in_all_eight_repositories(width: int):
    theirs = load("cosine_head")[f"initial_norms_width{width}"]
    ours = CosineHead(width, 8, scale=30.0).weight.detach().norm(dim=1)
    assert close(ours.expand_as(theirs), theirs)


class Given(BranchedEncoder):
    """Two branches whose features are given."""

    def __init__(self):
        nn.Module.__init__(self)
        self.features: list[torch.Tensor] = []

    def each(self, images):
        return self.features


@pytest.mark.parametrize("epoch", [1, 51, 151])
def test_bbn_is_the_authors(epoch: int):
    arrays = load("bbn")
    head = nn.Linear(32, 8, bias=False)
    head.weight = nn.Parameter(arrays["classifier"].float().T.contiguous())
    targets = Targets(arrays["labels_natural"], second=Targets(arrays["labels_reversed"]))
    encoder = Given()
    ours = Bbn(Config(), Model(encoder, head), arrays["counts"], n_steps=200, seed=0)

    def loss(natural: torch.Tensor, rare: torch.Tensor) -> torch.Tensor:
        encoder.features = [natural, rare]
        return ours.loss([torch.zeros(32, 3, 1, 1)] * 2, targets, epoch - 1)

    check(
        loss,
        arrays,
        "feature_natural feature_reversed",
        f"epoch{epoch}",
        tolerance=1e-4,
    )


def test_bbns_weight_and_its_reversed_draws_are_the_authors():
    arrays = load("bbn")
    # their horizon is the number of epochs, but 100 for 90 of them
    for n_epochs, horizon in ((200, 200), (90, 100)):
        for epoch, theirs in enumerate(arrays[f"alpha_of_{n_epochs}"].tolist()):
            assert natural_weight(epoch / horizon, 2.0) == pytest.approx(theirs, abs=1e-12)
    ours = Bbn(Config(), Model(Given(), nn.Linear(2, 8)), arrays["counts"], 1, 0).second_weights()
    of_classes = ours * arrays["counts"]
    assert close(of_classes / of_classes.sum(), arrays["class_probability"], 1e-12)


def test_mixup_is_the_authors():
    arrays = load("mixup")
    mixture = Mixture(arrays["permutation"], float(arrays["share"]))
    classifier = arrays["classifier"].float()
    targets = Targets(arrays["labels_a"], arrays["labels_b"], mixture.share)
    assert torch.equal(targets.labels[mixture.partners], arrays["labels_b"])

    def loss(images: torch.Tensor) -> torch.Tensor:
        logits = join(images, images[mixture.partners], mixture).flatten(1) @ classifier
        return targets.loss(lambda labels: F.cross_entropy(logits, labels))

    check(loss, arrays, "images", tolerance=1e-4)
    images = arrays["images"]
    assert close(join(images, images[mixture.partners], mixture), arrays["mixed"], 1e-12)


def test_the_boxes_of_cutmix_are_the_authors():
    arrays = load("cutmix_cmo")
    for n, drawn in enumerate(arrays["drawn_share"].tolist()):
        sides = int(arrays["height_axis2"][n]), int(arrays["width_axis3"][n])
        centres = int(arrays["centre_axis2"][n]), int(arrays["centre_axis3"][n])
        pairs = zip(sides, centres, strict=True)
        (top, bottom), (left, right) = (_cut(s, drawn, (c + 0.5) / s) for s, c in pairs)
        assert [top, left, bottom, right] == arrays["box"][n].tolist()
        share = 1.0 - (bottom - top) * (right - left) / (sides[0] * sides[1])
        assert share == pytest.approx(float(arrays["share"][n]), abs=1e-12)


def test_the_pixels_of_cutmix_and_cmo_are_the_authors():
    arrays = load("cutmix_cmo")
    images, side = arrays["images"].float(), 16
    partners = {"cutmix": images[arrays["permutation"]], "cmo": arrays["other_images"].float()}
    for name, pasted in partners.items():
        drawn = float(arrays["pixel_drawn_share"])
        boxes = [_cut(side, drawn, (int(c) + 0.5) / side) for c in arrays[f"{name}_centre"]]
        (top, bottom), (left, right) = boxes
        share = 1.0 - (bottom - top) * (right - left) / side**2
        assert share == pytest.approx(float(arrays[f"{name}_share"]), abs=1e-12)
        mixture = Mixture(arrays["permutation"], share, (top, bottom, left, right))
        assert torch.equal(join(images, pasted, mixture), arrays[f"{name}_images"].float())


def test_remix_gives_the_labels_of_the_survey():
    arrays = load("remix")
    a, b, counts = arrays["labels_a"], arrays["labels_b"], arrays["counts"]
    differ = a != b
    for share, expected in zip(arrays["image_share"].tolist(), arrays["label_share"], strict=True):
        own, theirs = remixed(a, b, share, counts, 3.0, 0.5)
        of_own = share * (own == a).double() + (1.0 - share) * (theirs == a).double()
        assert close(of_own[differ], expected[differ], 1e-12)


@pytest.mark.parametrize("n_epochs", [10, 90])
def test_progressive_sampling_is_the_authors(n_epochs: int):
    arrays = load("progressive_sampling")
    counts = arrays["counts"]
    for epoch, expected in enumerate(arrays[f"probabilities_{n_epochs}_epochs"]):
        found = progressive_weights(counts, epoch / (n_epochs - 1)) * counts
        assert close(found, expected, 1e-12)
    for power, name in ((0.5, "square_root"), (0.0, "balanced")):
        found = power_weights(counts, power) * counts
        assert close(found / found.sum(), arrays[name], 1e-12)


def test_a_teacher_follows_its_student_as_the_authors_does():
    arrays = load("ema")
    for decay, expected in ((0.999, "alpha_decay0p999"), (0.9, "alpha_decay0p9")):
        found = torch.tensor([ema_alpha(step, decay) for step in range(len(arrays[expected]))])
        assert close(found, arrays[expected], 1e-6)
    teacher = arrays["start"].clone()
    for step, student in enumerate(arrays["student"]):
        move_towards([teacher], [student], 1.0 - ema_alpha(step, 0.95))
        assert close(teacher, arrays["teacher_decay0p95"][step], 1e-12)
