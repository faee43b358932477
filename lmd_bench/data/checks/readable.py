"""Image files that are empty or cannot be decoded; all of them, where preparing stops at one."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets import Dataset
from lmd_bench.data.images.prepare import SMALLEST


@dataclass(frozen=True)
class Unreadable:
    """An image whose file does not give a picture."""

    image_id: str
    path: Path | None
    cause: str


def unreadable_images(
    data: Dataset, sources: Sequence[tuple[str, Path | None]], n_threads: int
) -> tuple[Unreadable, ...]:
    """Return the images that cannot be decoded, in their order.

    Args:
        data: the data set whose reading is tried.
        sources: an id and a file each.
        n_threads: files at once; decoding releases the interpreter's lock.
    """

    def tried(source: tuple[str, Path | None]) -> Unreadable | None:
        image_id, path = source
        try:
            if path is not None and path.stat().st_size == 0:
                return Unreadable(image_id, path, "the file is empty")
            data.image(image_id, path, SMALLEST)
        except (UserError, OSError) as error:
            return Unreadable(image_id, path, str(error))
        return None

    with ThreadPoolExecutor(n_threads) as pool:
        return tuple(fault for fault in pool.map(tried, sources) if fault is not None)
