import pytest

from lmd_bench.core import plugins
from tests.methods.calibration import features

TRAINED = ["crt", "knn", "ladc", "lda", "logistic_regression", "ncm", "vfc"]


@pytest.mark.parametrize("name", TRAINED)
def test_a_head_of_its_own_separates_separable_classes_with_three_images_in_one(name):
    given = features.stage1()
    plugin = plugins.plugin_class("calibration", name)
    result = plugin(plugins.load("calibration", name).Config()).fit(given)
    assert features.val_accuracy(result, given) > 0.95
