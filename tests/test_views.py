"""Views: seeded, of one shape, and each drawn per image."""

import pytest
import torch

from lmd_bench import views


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (8, 24, 24, 3), dtype=torch.uint8, generator=torch.Generator())


@pytest.mark.parametrize("view", ["strong", "weak", "test"])
def test_a_view_repeats_with_its_seed_and_leaves_the_global_generator_alone(pixels, view):
    state = torch.get_rng_state()
    first = views.make_view(view, pixels, seed=3)
    assert first.shape == (8, 3, 24, 24)
    assert torch.isfinite(first).all()
    assert torch.equal(first, views.make_view(view, pixels, seed=3))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("view", ["strong", "weak"])
def test_another_seed_gives_another_view(pixels, view):
    assert not torch.equal(views.make_view(view, pixels, 1), views.make_view(view, pixels, 2))


def test_the_weak_view_only_flips(pixels):
    plain = views.make_view("test", pixels, 0)
    flipped = views.make_view("weak", pixels, 5)
    for before, after in zip(plain, flipped, strict=True):
        choices = [before, before.flip(1), before.flip(2), before.flip(1, 2)]
        assert any(torch.allclose(after, choice, atol=1e-6) for choice in choices)


def test_normalising_takes_out_imagenets_mean():
    mean = torch.tensor(views.IMAGENET_MEAN).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.equal(views.normalise(mean), torch.zeros(1, 3, 2, 2))


def test_grid_dropout_blackens_a_regular_grid_of_chosen_images_alone():
    images = torch.ones(2, 3, 20, 20)
    out = views.grid_dropout(images, torch.tensor([True, False]))
    assert torch.equal(out[1], images[1])
    assert out[0, 0].sum() == 400 - 100  # holes of 1 pixel in 2 x 2: a quarter
    assert out[0, 0, 0, 0] == 0
    assert out[0, 0, 1, 1] == 1


def test_grid_distortion_without_displacement_is_the_identity():
    images = torch.rand(2, 3, 16, 16)
    assert torch.allclose(views.grid_distortion(images, limit=0.0), images, atol=1e-5)
