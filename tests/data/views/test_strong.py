"""The strong view's parts, each against its formula."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from lmd_bench.data.views import _blurs, _warps
from lmd_bench.data.views._draws import one_of
from lmd_bench.data.views.strong import grid_dropout, recolour


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def test_exactly_one_member_is_drawn_in_its_share_of_the_images(rng):
    members = one_of(rng, 40_000, 0.5, (0.2, 0.1, 0.1))
    shares = [float((members == member).float().mean()) for member in (-1, 0, 1, 2)]
    assert shares == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.01)


def test_the_median_of_three_by_three_is_torchs():
    images = torch.rand(2, 3, 9, 7)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    patches = padded.unfold(2, 3, 1).unfold(3, 3, 1).reshape(2, 3, 9, 7, 9)
    assert torch.equal(_blurs.median_blur(images), patches.median(-1).values)


def test_the_box_blur_is_scipys():
    images = torch.rand(1, 3, 9, 7)
    expected = ndimage.uniform_filter(images.numpy(), (1, 1, 3, 3), mode="mirror")
    assert np.allclose(_blurs.box_blur(images), expected, atol=1e-6)


@pytest.mark.parametrize(("size", "largest"), [(32, 3), (64, 3), (128, 5), (224, 7), (448, 7)])
def test_a_motion_kernel_is_a_line_that_sums_to_one_and_scales_with_the_image(rng, size, largest):
    kernels = _blurs.motion_kernels(rng, 200, size)
    assert kernels.shape == (200, largest, largest)
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(200))
    lit = (kernels > 0).sum((1, 2))
    assert lit.min() == 2  # never a single pixel
    assert lit.max() == largest
    for kernel in kernels > 0:  # one piece: each lit pixel touches the next
        assert ndimage.label(kernel.numpy(), np.ones((3, 3)))[1] == 1


def test_each_image_is_blurred_by_its_own_kernel():
    images = torch.rand(2, 3, 8, 8)
    kernels = torch.zeros(2, 3, 3)
    kernels[0, 1, 1] = 1.0
    kernels[1, 1, 1:] = 0.5
    out = _blurs.motion_blur(images, kernels)
    assert torch.equal(out[0], images[0])
    assert torch.allclose(out[1, :, :, :-1], (images[1, :, :, :-1] + images[1, :, :, 1:]) / 2)


def test_resampling_at_its_own_pixels_returns_the_image():
    images = torch.rand(2, 3, 6, 5)
    points = _warps.pixel_grid(images).repeat(2, 1, 1, 1)
    assert torch.allclose(_warps.resample(images, points), images, atol=1e-5)


def test_a_point_outside_is_read_at_its_mirror_image():
    points = torch.tensor([-1.0, -0.5, 4.0, 5.0]).repeat(1, 2, 4, 1)
    inside = _warps.reflect(points)[0, 0, 0]  # 4 pixels: the last is 3
    assert inside.tolist() == [1.0, 0.5, 2.0, 1.0]
    ramp = torch.arange(4.0).expand(1, 3, 4, 4)
    assert torch.allclose(_warps.resample(ramp, points)[0, 0, 0], inside)


def test_a_quarter_turn_about_the_middle_moves_the_corner():
    quarter = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])
    maps = _warps.about_the_middle(quarter, torch.zeros(1, 2), torch.tensor([4.0, 4.0]))
    images = torch.rand(1, 3, 4, 4)
    points = _warps.affine(_warps.pixel_grid(images), maps)
    assert points[0, :, 0, 0].tolist() == [0.0, 3.0]
    turned = _warps.resample(images, points)
    assert torch.allclose(turned, images.rot90(-1, (2, 3)), atol=1e-5)


def test_a_shift_to_the_right_reads_from_the_left():
    maps = _warps.about_the_middle(
        torch.eye(2)[None], torch.tensor([[2.0, 0.0]]), torch.tensor([5.0, 5.0])
    )
    points = _warps.affine(_warps.pixel_grid(torch.rand(1, 3, 5, 5)), maps)
    assert points[0, 0, 0].tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]


def test_shift_scale_and_rotation_stay_in_their_ranges(rng):
    maps = _warps.shift_scale_rotate(rng, 2000, height=32, width=64)
    stretch = 1.0 / torch.linalg.norm(maps[:, :, :2], dim=2)  # rows are axes of the image
    assert 0.8 <= stretch.min() < 0.81
    assert 1.19 < stretch.max() <= 1.2 + 1e-5
    angle = torch.atan2(maps[:, 0, 1], maps[:, 0, 0]).abs()
    assert 0.77 < angle.max() <= np.pi / 4 + 1e-5
    # the middle of the result is read from within the shift, scaled, of the image's middle
    middle = torch.tensor([31.5, 15.5])
    read = (maps[:, :, :2] @ middle[:, None])[..., 0] + maps[:, :, 2]
    assert (read - middle).abs().max() < (4.0 + 2.0) / 0.8


@pytest.mark.parametrize("side", [20, 24, 32, 64])
def test_grid_distortion_is_the_recipes_linspace(rng, side):
    steps = _warps.grid_steps(rng, 1)
    points = _warps.grid_distortion(torch.zeros(1, 2, side, side), steps)
    expected, reached, cell = np.zeros(side), 0.0, side // 5
    for number in range(6):
        start, end = number * cell, min((number + 1) * cell, side)
        cut = (number + 1) * cell > side
        reach = side if cut else reached + cell * float(steps[0, 0, number])
        expected[start:end] = np.linspace(reached, reach, end - start)
        reached = reach
    assert np.allclose(points[0, 0, 3], expected, atol=1e-4)
    assert torch.equal(points[0, 1, :, 0], points[0, 1, :, 5])  # rows do not depend on columns


def test_optical_distortion_leaves_the_middle_and_moves_the_corner_by_its_formula():
    grid = _warps.pixel_grid(torch.zeros(1, 3, 8, 8))
    moved = _warps.optical_distortion(grid, torch.tensor([0.05]))
    assert torch.allclose(moved[0, :, 4, 4], torch.tensor([4.0, 4.0]))
    r2 = 0.5  # the first pixel lies half a side from the middle along both axes
    corner = (-0.5 * (1 + 0.05 * (r2 + r2**2)) + 0.5) * 8
    assert moved[0, :, 0, 0].tolist() == pytest.approx([corner, corner], abs=1e-5)


def test_the_elastic_transform_that_is_left_out_moves_no_pixel_by_a_tenth():
    noise = np.random.default_rng(0).uniform(-1, 1, (20, 224, 224))
    shift = 3 * ndimage.gaussian_filter(noise, (0, 50, 50), mode="mirror", truncate=3.0)
    assert np.abs(shift).max() < 0.1
    assert shift.std() < 0.03


def test_recolouring_clips_and_leaves_a_quarter_alone(rng):
    images = torch.rand(4000, 3, 1, 1)
    out = recolour(images.clone(), rng)
    assert out.min() >= 0.0
    assert out.max() <= 1.0
    same = (out == images).all(1).float().mean()
    assert float(same) == pytest.approx(0.25, abs=0.03)


def test_grid_dropout_blackens_a_regular_grid_of_chosen_images_alone():
    images = torch.ones(2, 3, 20, 20)
    out = grid_dropout(images, torch.tensor([True, False]))
    assert torch.equal(out[1], images[1])
    assert out[0, 0].sum() == 400 - 100  # holes of 1 pixel in 2 x 2: a quarter
    assert out[0, 0, 0, 0] == 0
    assert out[0, 0, 1, 1] == 1
