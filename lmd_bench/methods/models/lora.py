"""LoRA: an encoder whose linear layers, those of attention too, each learn an update of low rank.

    W' = W + (alpha / r) B A,   A: r x in drawn, B: out x r at 0

Everything else of the encoder stays as it was loaded, so training starts from its features.

Paper: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022.
URL: https://arxiv.org/abs/2106.09685
Through: https://github.com/huggingface/peft (Apache-2.0), with alpha = 2 r and no dropout.
"""

from importlib import util

from torch import nn

from lmd_bench.core.errors import UserError


def add_lora(network: nn.Module, name: str, rank: int) -> None:
    """Give a transformer its updates, drawn from torch's generator, and freeze all else in it.

    Args:
        network: changed in place.
        name: of the encoder, for messages.
        rank: r.

    Raises:
        UserError: peft is not installed, or the network has no attention layers of linear ones.
    """
    if util.find_spec("peft") is None:
        raise UserError(
            "training.tune=lora needs the package peft, which is not installed; pip install "
            "'lmd-bench[lora]' installs it."
        )
    layers = _layers(network)
    if not layers:
        raise UserError(
            f"Encoder '{name}' has no attention layers that LoRA can act on; take a ViT "
            "or Swin of timm (timm:vit_small_patch16_224, ...), or another training.tune."
        )
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=layers)
    inject_adapter_in_model(config, network)


def _layers(network: nn.Module) -> list[str]:
    """Return the names of a transformer's linear layers; none where LoRA cannot act on it."""
    modules = dict(network.named_modules())
    attention = [type(m).__name__ for m in modules.values() if "Attention" in type(m).__name__]
    # These read the weights of their layers past their forward and would not feel an update, and
    # what peft does in place of that changes the weights below by rounding at each forward.
    if not attention or {"MultiheadAttention", "ShiftedWindowAttention"} & set(attention):
        return []
    return [name for name, module in modules.items() if isinstance(module, nn.Linear)]
