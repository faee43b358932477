"""SimAugment's crop and colours against torchvision's, one image at a time."""

import pytest
import torch
from torchvision.transforms.v2 import RandomResizedCrop
from torchvision.transforms.v2 import functional as TF

from lmd_bench.data.views import simaugment

FACTORS = torch.tensor([0.3, -0.9, 0.0, 1.0])
REFERENCES = {
    "_brightness": lambda x, f: TF.adjust_brightness(x, 1 + 0.4 * f),
    "_contrast": lambda x, f: TF.adjust_contrast(x, 1 + 0.4 * f),
    "_saturation": lambda x, f: TF.adjust_saturation(x, 1 + 0.4 * f),
    "_hue": lambda x, f: TF.adjust_hue(x, 0.1 * f),
}


@pytest.fixture
def images():
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, 16, 20), generator=rng).float() / 255


@pytest.mark.parametrize("name", REFERENCES)
def test_a_jitter_is_torchvisions_for_each_image(name, images):
    ours = getattr(simaugment, name)(images.clone(), FACTORS)
    for image, factor, out in zip(images, FACTORS.tolist(), ours, strict=True):
        assert torch.allclose(out, REFERENCES[name](image, factor), atol=1e-5)


def test_the_hue_of_grey_stays_grey():
    grey = torch.full((2, 3, 4, 4), 0.4)
    assert torch.allclose(simaugment._hue(grey, torch.tensor([0.5, -1.0])), grey)


def test_a_crop_is_torchvisions_for_each_image(images):
    boxes = torch.tensor([[0, 0, 20, 16], [3, 2, 7, 9], [19, 0, 1, 1], [8, 6, 12, 10]])
    ours = simaugment.cropped(images, boxes)
    for image, (left, top, width, height), out in zip(images, boxes.tolist(), ours, strict=True):
        expected = TF.resized_crop(image, top, left, height, width, [16, 20], antialias=True)
        assert torch.allclose(out, expected, atol=1e-5)


def drawn_by_torchvision(image):
    drawn = RandomResizedCrop(24).make_params([image])
    return [drawn[key] for key in ("top", "left", "height", "width")]


def test_crops_fit_and_are_drawn_as_torchvision_draws_them():
    boxes = simaugment.crop_boxes(torch.Generator().manual_seed(0), 4000, 24, 32)
    left, top, width, height = boxes.T
    assert (width > 0).all()
    assert (height > 0).all()
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 32).all()
    assert (top + height <= 24).all()
    torch.manual_seed(0)
    image = torch.zeros(3, 24, 32)
    theirs = torch.tensor([drawn_by_torchvision(image) for _ in range(2000)])
    ours = torch.stack([top, left, height, width], 1).float()
    assert torch.allclose(ours.mean(0), theirs.float().mean(0), atol=0.5)


def test_a_fifth_of_the_images_is_grey_and_a_fifth_of_the_others_keeps_its_colours():
    rng = torch.Generator().manual_seed(0)
    colour = torch.tensor([0.5, 0.3, 0.2]).view(1, 3, 1, 1).expand(4000, 3, 8, 8).clone()
    out = simaugment.simaugment_view(colour.clone(), rng)
    grey = (out[:, 0] == out[:, 1]).all(2).all(1)
    assert float(grey.float().mean()) == pytest.approx(0.2, abs=0.03)
    kept = (out - colour).abs().amax((1, 2, 3)) < 1e-6
    assert float(kept.float().mean()) == pytest.approx(0.8 * 0.2, abs=0.03)
