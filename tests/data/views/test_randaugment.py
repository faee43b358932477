"""RandAugment's operations against torchvision's, one image at a time."""

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from lmd_bench.data.views import randaugment
from lmd_bench.data.views.randaugment import OPERATIONS

LINEAR = {"interpolation": InterpolationMode.BILINEAR, "fill": 0.5}
THIRD = 10 / 30  # M = 10 of 30

# what torchvision does at M = 10, for one image and one sign
REFERENCES = {
    "Identity": lambda x, s: x,
    "Rotate": lambda x, s: TF.rotate(x, s * 30 * THIRD, **LINEAR),
    "TranslateX": lambda x, s: affine(x, translate=[s * 150 / 331 * 16 * THIRD, 0]),
    "TranslateY": lambda x, s: affine(x, translate=[0, s * 150 / 331 * 16 * THIRD]),
    "Brightness": lambda x, s: TF.adjust_brightness(x, 1 + s * 0.9 * THIRD),
    "Color": lambda x, s: TF.adjust_saturation(x, 1 + s * 0.9 * THIRD),
    "Contrast": lambda x, s: TF.adjust_contrast(x, 1 + s * 0.9 * THIRD),
    "Sharpness": lambda x, s: TF.adjust_sharpness(x, 1 + s * 0.9 * THIRD),
    "Posterize": lambda x, s: TF.posterize((x * 255).round().byte(), 7).float() / 255,
    "Solarize": lambda x, s: TF.solarize(x, 1 - THIRD),
    "AutoContrast": lambda x, s: TF.autocontrast(x),
    "Equalize": lambda x, s: TF.equalize((x * 255).round().byte()).float() / 255,
}


def affine(x, translate):
    return TF.affine(x, angle=0, translate=translate, scale=1.0, shear=[0.0, 0.0], **LINEAR)


@pytest.fixture
def images():
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, 16, 16), generator=rng).float() / 255


@pytest.mark.parametrize("name", REFERENCES)
def test_an_operation_is_torchvisions_for_each_image(name, images):
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0])
    ours = OPERATIONS[name](images.clone(), signs)
    for image, sign, out in zip(images, signs.tolist(), ours, strict=True):
        expected = REFERENCES[name](image, sign)
        seen = slice(4, 12)  # torchvision darkens the image's edge pixels where it moves them in
        assert torch.allclose(out[:, seen, seen], expected[:, seen, seen], atol=1e-4)


@pytest.mark.parametrize(("name", "axis"), [("ShearX", 0), ("ShearY", 1)])
def test_a_shear_moves_a_pixel_by_a_tenth_of_its_distance_from_the_middle(name, axis):
    ramp = torch.arange(21.0).expand(21, 21) / 100
    image = (ramp if axis == 0 else ramp.T).expand(1, 3, 21, 21)
    out = OPERATIONS[name](image, torch.ones(1))[0, 0]
    out = out if axis == 0 else out.T
    assert float(out[0, 10]) == pytest.approx((10 + 0.3 * THIRD * -10) / 100, abs=1e-5)
    assert float(out[20, 10]) == pytest.approx((10 + 0.3 * THIRD * 10) / 100, abs=1e-5)


def test_fourteen_operations_are_drawn_alike():
    assert len(OPERATIONS) == 14
    grey = torch.full((7000, 3, 8, 8), 0.3)
    out = randaugment.randaugment_view(grey.clone(), torch.Generator().manual_seed(0))
    # on a plain grey image only moves, brightness and equalize can show; most images stay grey
    assert 0.3 < float((out[:, 0, 4, 4] - 0.3).abs().lt(1e-3).float().mean()) < 0.9
