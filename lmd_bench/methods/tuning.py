"""What `training.tune` leaves to be trained, and which methods can act on that."""

from collections.abc import Iterable

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Config, Scalar
from lmd_bench.methods.catalogue import Method
from lmd_bench.methods.config import ON_STORED

TUNE = "training.tune"
_OF_PIXELS = ("cutmix", "cmo")  # mixings that cut boxes out of images


def cannot_act(representation: str, calibration: str, tune: str) -> str:
    """Return why a pair of stages cannot act where so much is trained; "" where it can.

    What a stage needs is what its plug-in declares.
    """
    if tune != "frozen":
        return ""
    if plugins.plugin_class("representation", representation).needs_encoder:
        return "stage 1 trains the encoder, which is frozen"
    if plugins.plugin_class("calibration", calibration).moves_encoder:
        return "stage 2 moves the encoder, which is frozen"
    return ""


def for_features(overrides: Config) -> dict[str, Scalar]:
    """Return settings with the tuning that features a person brought allow, unless they name one.

    Images are trained in full unless a person says otherwise; features have nothing to train so.
    """
    return {TUNE: "frozen", **overrides}


def check_tuning(methods: Iterable[tuple[Method, Config]], *, has_images: bool) -> None:
    """Check that each method can act on what its config leaves to be trained.

    Args:
        methods: each with its complete config.
        has_images: False where a person brought features.

    Raises:
        UserError: naming all that cannot, and why.
    """
    refused: dict[str, list[str]] = {}
    for method, config in methods:
        if reason := _refusal(method, config, has_images):
            refused.setdefault(reason, []).append(method.name)
    if refused:
        reasons = "; ".join(f"{', '.join(names)}: {why}" for why, names in refused.items())
        raise UserError(
            f"Some methods cannot act here ({reasons}). Leave them out, or take another "
            "training.tune; lmd-bench methods --matrix --tune frozen shows what can."
        )


def _refusal(method: Method, config: Config, has_images: bool) -> str:
    tune = str(config[TUNE])
    if tune not in ON_STORED:
        return "" if has_images else f"features have no encoder for training.tune={tune}"
    if config["training.mixing"] in _OF_PIXELS:
        return f"{config['training.mixing']} cuts boxes out of images, and here are features"
    return cannot_act(method.representation, method.calibration, tune)
