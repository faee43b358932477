"""Files of weights that a person gives: named by their hash, kept in the cache, read as tensors.

A config holds `sha256:` and 20 digits in place of the path, so that a key says which weights were
taken and not where they lay.
"""

import hashlib
import shutil
from functools import cache
from pathlib import Path

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file

PREFIX = "sha256:"
SUFFIXES = (".safetensors", ".pth", ".pt")
_DIGITS = 20
_BLOCK = 2**20  # bytes


def pinned(given: str) -> str:
    """Return how a config names the weights that a person gave, and keep a copy in the cache.

    Args:
        given: "", a path, or a name that this function returned.

    Raises:
        UserError: no such file, or one of another kind.
    """
    if not given or given.startswith(PREFIX):
        return given
    path = Path(given).expanduser().resolve()
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"Setting training.weights={given} is not possible; give a file that ends in "
            f"{', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise UserError(f"There is no file {path} for training.weights.")
    stat = path.stat()
    return _kept(path, stat.st_mtime_ns, stat.st_size)


def file_of(name: str) -> Path:
    """Return the file of weights that a config names.

    Raises:
        UserError: it is not in this machine's cache, or is not as it was.
    """
    digits = name.removeprefix(PREFIX)
    for suffix in SUFFIXES:
        path = _folder() / f"{digits}{suffix}"
        if path.is_file():
            if _hash(path) != digits:
                raise UserError(f"The weights in {path} are not as they were; delete that file.")
            return path
    raise UserError(
        f"The weights {name} are not in {_folder()}; give their file once on this machine with "
        "--set training.weights=FILE, or let $LMD_BENCH_CACHE be a folder that all machines share."
    )


# A config is made dozens of times in a search; its file is read once.
@cache
def _kept(path: Path, changed: int, n_bytes: int) -> str:
    digits = _hash(path)
    copy = _folder() / f"{digits}{path.suffix}"
    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(copy) as temporary:
            shutil.copyfile(path, temporary)
    return f"{PREFIX}{digits}"


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()[:_DIGITS]


def _folder() -> Path:
    return paths.cache_root() / "weights"
