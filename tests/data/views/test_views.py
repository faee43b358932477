"""Views: seeded, of one shape, and each image drawn by itself."""

from typing import get_args

import pytest
import torch

from lmd_bench.data import views
from lmd_bench.methods.config import TrainingConfig

DRAWN = ["strong", "weak", "randaugment", "simaugment"]


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (8, 24, 24, 3), dtype=torch.uint8, generator=torch.Generator())


@pytest.mark.parametrize("view", [*DRAWN, "test"])
def test_a_view_repeats_with_its_seed_and_leaves_pixels_and_global_generator_alone(pixels, view):
    state, before = torch.get_rng_state(), pixels.clone()
    first = views.make_view(view, pixels, seed=3)
    assert first.shape == (8, 3, 24, 24)
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert torch.isfinite(first).all()
    assert torch.equal(first, views.make_view(view, pixels, seed=3))
    assert torch.equal(pixels, before)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("view", DRAWN)
def test_another_seed_gives_another_view(pixels, view):
    assert not torch.equal(views.make_view(view, pixels, 1), views.make_view(view, pixels, 2))


@pytest.mark.parametrize("view", DRAWN)
def test_each_image_of_a_batch_is_drawn_by_itself(pixels, view):
    same = pixels[:1].repeat(64, 1, 1, 1)
    distinct = {image.numpy().tobytes() for image in views.make_view(view, same, 0)}
    assert len(distinct) == 4 if view == "weak" else len(distinct) > 30


@pytest.mark.parametrize("size", [8, 9, 14, 20, 31])
@pytest.mark.parametrize("view", DRAWN)
def test_views_of_any_size_stay_within_the_range_of_pixels(view, size):
    pixels = torch.randint(0, 256, (32, size, size, 3), dtype=torch.uint8)
    black = views.normalise(torch.zeros(1, 3, 1, 1))
    white = views.normalise(torch.ones(1, 3, 1, 1))
    out = views.make_view(view, pixels, 0)
    assert (out >= black - 1e-5).all()
    assert (out <= white + 1e-5).all()


def test_every_augmentation_of_the_training_config_is_a_view():
    names = get_args(TrainingConfig.__dataclass_fields__["augmentation"].type)
    assert set(names) < set(get_args(views.View))


def test_the_weak_view_only_flips(pixels):
    plain = views.make_view("test", pixels, 0)
    flipped = views.make_view("weak", pixels, 5)
    for before, after in zip(plain, flipped, strict=True):
        choices = [before, before.flip(1), before.flip(2), before.flip(1, 2)]
        assert any(torch.equal(after, choice) for choice in choices)


def test_normalising_takes_out_imagenets_mean():
    mean = torch.tensor(views.IMAGENET_MEAN).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.equal(views.normalise(mean), torch.zeros(1, 3, 2, 2))
