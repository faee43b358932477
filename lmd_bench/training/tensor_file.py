"""A safetensors file that is written as any other file: with the rights of others, and errno."""

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lmd_bench.core.files import shared_mode


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors.

    Args:
        tensors: By name; each is made contiguous.
        path: The file; its folder must be there.

    Raises:
        OSError: it cannot be written; a full disk has its number, by which a search stops.
    """
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        text = f"cannot write {path.name}: {error}"
        # Safetensors tells the system's number in its text alone.
        number = re.search(r"\(os error (\d+)\)", str(error))
        raise (OSError(int(number[1]), text) if number else OSError(text)) from error
    # Safetensors lets nobody else read it; in a shared folder others are to.
    path.chmod(shared_mode())
