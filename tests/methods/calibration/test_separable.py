import pytest
import torch

from lmd_bench.core import plugins
from lmd_bench.methods.models.heads import CosineHead
from tests.methods.calibration import features

TRAINED = ["crt", "knn", "ladc", "lda", "logistic_regression", "ncm", "vfc"]


@pytest.mark.parametrize("name", TRAINED)
def test_a_head_of_its_own_separates_separable_classes_with_three_images_in_one(name):
    given = features.stage1()
    plugin = plugins.plugin_class("calibration", name)
    result = plugin(plugins.load("calibration", name).Config()).fit(given)
    assert features.val_accuracy(result, given) > 0.95


@pytest.mark.parametrize("name", plugins.names("calibration"))
def test_every_calibration_stands_on_a_cosine_head(name):
    if name == "icc":
        pytest.skip("it trains the encoder too; see test_icc.py")
    given = features.stage1(make_head=lambda c, k: CosineHead(c, k, 30.0))
    plugin = plugins.plugin_class("calibration", name)
    result = plugin(plugins.load("calibration", name).Config()).fit(given)
    with torch.no_grad():
        assert torch.isfinite(result.model.head(given.features[1])).all()
