"""Every named method, on small data: ranges, deferrals, switches and cosine heads."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from lmd_bench.core import plugins
from lmd_bench.core.schema import no_report
from lmd_bench.data.views import make_view
from lmd_bench.methods.catalogue import Method, named_methods
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.representation._base import Representation, Targets
from lmd_bench.methods.settings import default_config, section_config
from lmd_bench.methods.space import search_space
from lmd_bench.search.proposing.ranges import contains
from lmd_bench.training.loop import train
from tests import tiny

N_STEPS = 100


def stage1_cases() -> list[str]:
    """Return one named method for each stage 1 that differs from those before."""
    cases: dict[object, str] = {}
    for name, method in named_methods().items():
        cases.setdefault((method.representation, own_config(method)), name)
    return list(cases.values())


def own_config(method: Method):
    return section_config(method.representation, default_config(method))


def made(name: str, n_steps: int = N_STEPS) -> Representation:
    method = named_methods()[name]
    return tiny.method(
        method.representation, torch.tensor(tiny.COUNTS), n_steps, config=own_config(method)
    )


def batch(method: Representation) -> tuple[list[torch.Tensor], Targets]:
    """Return the whole training set as one batch, in the views that a method wants."""
    train_set, _ = tiny.sets()
    labels = train_set.labels
    views = [make_view("weak", train_set.pixels, seed) for seed in range(len(method.views))]
    return views, Targets(labels, second=Targets(labels.flip(0)))


@pytest.mark.parametrize("name", named_methods())
def test_a_method_starts_within_what_it_searches(name: str):
    method = named_methods()[name]
    config = default_config(method)
    space = search_space(method.sections, method.settings, method.searched)
    assert set(method.searched) <= set(space)
    assert not set(method.searched) & set(method.settings)
    for key, distribution in space.items():
        assert contains(distribution, config[key]), key


def test_a_representations_training_defaults_are_the_methods_and_a_setting_goes_before_them():
    assert default_config(named_methods()["rrl"])["training.lr"] == 0.01
    assert default_config(named_methods()["bcl"])["training.augmentation"] == "simaugment"
    assert default_config(named_methods()["lmd_paper"])["training.augmentation"] == "strong"
    changed = default_config(named_methods()["rrl"], {"training.lr": 0.1})
    assert changed["training.lr"] == 0.1


@pytest.mark.parametrize(
    "start",
    [
        {"training.pretrained": True},
        {"training.backbone": "efficientnet_lite0"},
        {"training.tune": "adapter"},
    ],
    ids=str,
)
def test_no_method_trains_what_it_starts_from_by_adamw_at_a_rate_that_forgets_it(start):
    for name, method in named_methods().items():
        config = default_config(method, start)
        if config["training.optimiser"] == "adamw":
            assert config["training.lr"] <= 1e-3, name


def test_what_a_method_searches_is_in_its_space_alone():
    sam, plain = (named_methods()[name] for name in ("sam", "cross_entropy"))
    assert "training.sam_rho" in search_space(sam.sections, sam.settings, sam.searched)
    assert "training.sam_rho" not in search_space(plain.sections, plain.settings, plain.searched)
    assert "training.sam_rho" not in search_space(sam.sections, ["training.sam_rho"], sam.searched)


def probe(name: str, progress: float) -> tuple[float, list[float]]:
    """Return a fixed batch's loss and the drawn classes' weights at a place in training."""
    method = made(name)
    views, targets = batch(method)
    loss = method.loss(views, targets, min(int(progress * N_STEPS), N_STEPS - 1))
    weights = method.draw_weights(1 + round(4 * progress), 5)
    plain = torch.ones(3) if weights is None else weights
    return round(float(loss.detach()), 5), (plain / plain.sum()).tolist()


@pytest.mark.parametrize("name", stage1_cases())
def test_a_method_whose_objective_changes_in_training_declares_a_deferral(name: str):
    method = named_methods()[name]
    plugin = plugins.plugin_class("representation", method.representation)
    deferral = plugin.deferral(own_config(method))
    probes = [probe(name, progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    changes = any(other != probes[0] for other in probes[1:])
    assert changes == (deferral > 0)


def deferred_cases() -> list[str]:
    return [
        name
        for name in stage1_cases()
        if plugins.plugin_class("representation", named_methods()[name].representation).deferral(
            own_config(named_methods()[name])
        )
    ]


def gradient_norm(method: Representation, loss: torch.Tensor) -> float:
    parameters = [p for p in method.model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))


# A method that leaves nothing to search has published weights, defect for defect.
SWITCHING = [
    name
    for name in deferred_cases()
    if search_space(named_methods()[name].sections, named_methods()[name].settings)
]


@pytest.mark.parametrize("name", SWITCHING)
def test_the_gradient_keeps_its_size_where_the_objective_changes(name: str):
    n_steps = 100_000  # so many that the training below ends long before the switch
    method = made(name, n_steps)
    config = TrainingConfig(batch_size=13, lr=0.01, augmentation="weak")
    train(method, *tiny.sets(), config, 1, 0, no_report)
    state = copy.deepcopy(method.model.train().state_dict())
    views, targets = batch(method)
    switch = math.ceil(type(method).deferral(method.config) * n_steps)
    norms: list[float] = []
    for step in (switch - 1, switch):
        method.model.load_state_dict(state)
        norms.append(gradient_norm(method, method.loss(views, targets, step)))
    method.model.load_state_dict(state)
    plain = gradient_norm(method, F.cross_entropy(method.model(views[0])[1], targets.labels))
    # against itself: LDAM's margins, and RIDE's of three experts, are there before the switch
    assert 1 / 5 < norms[1] / norms[0] < 5
    assert norms[1] > plain / 5


COSINE = [
    name
    for name in plugins.names("representation")
    if plugins.plugin_class("representation", name).cosine_head
]


@pytest.mark.parametrize("name", COSINE)
def test_the_class_weights_of_a_cosine_head_turn_in_a_short_training(name: str):
    train_set, val_set = tiny.sets()
    method = tiny.method(name, torch.tensor(tiny.COUNTS), 24)
    weight = method.model.head.get_parameter("weight")
    before = weight.detach().clone()
    train(method, train_set, val_set, TrainingConfig(batch_size=13), 8, 0, no_report)
    cosines = F.cosine_similarity(before, weight.detach(), dim=1)
    assert float(cosines.clamp(-1, 1).arccos().rad2deg().min()) > 10
