"""Decodes the images of a data set in order, in threads, a bounded number at a time.

Pillow gives up the interpreter's lock while it decodes and resizes, so threads keep all cores at
work. Processes would import the caller's script anew, which then waits for itself where it has no
`__main__` guard.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets import Dataset
from lmd_bench.data.datasets._base import PixelBlock
from lmd_bench.data.datasets._decode import SAVE_AGAIN, UnreadableImageError, decode
from lmd_bench.data.intensity import Levels

Source = tuple[str, Path | None]  # an image's id and file
Chunk = tuple[PixelBlock, list[str]]  # pixels, and what is wrong with those that could not be read

_CHUNK = 64  # images that a thread decodes at a time, fewer where they are large
_CHUNK_BYTES = 8 * 2**20
_NAMED = 5  # unreadable images that an error names; of the rest it gives the count


def decode_all(
    data: Dataset, sources: Sequence[Source], image_size: int, n_threads: int
) -> Iterator[PixelBlock]:
    """Yield the pixels of `sources` in order, a chunk at a time.

    An unreadable image is black, and the others are still looked at: the error after the last
    chunk names them together.

    Raises:
        UserError: after the last chunk, if any image was unreadable.
    """
    faults: list[str] = []
    for pixels, chunk_faults in _chunks(data, sources, image_size, n_threads):
        faults += chunk_faults
        yield pixels
    if faults:
        raise _unreadable(data.card.name, faults, len(sources))


def decode_files(
    files: Sequence[Path], image_size: int, n_threads: int, levels: Levels | None = None
) -> Iterator[tuple[Path, UInt8[np.ndarray, "size size 3"] | str]]:
    """Yield each file with its pixels, or with what is wrong where it cannot be read.

    Args:
        files: images of any kind that is read.
        image_size: pixels, square.
        n_threads: images decoded at once.
        levels: values that become black and white; None: those of the files' type.
    """
    pool = ThreadPoolExecutor(n_threads)
    pending: deque[tuple[Path, Future[UInt8[np.ndarray, "size size 3"] | str]]] = deque()
    try:
        for file in files:
            if len(pending) == _CHUNK * n_threads:
                first, decoded = pending.popleft()
                yield first, decoded.result()
            pending.append((file, pool.submit(_decode_file, file, image_size, levels)))
        while pending:
            first, decoded = pending.popleft()
            yield first, decoded.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_file(
    file: Path, image_size: int, levels: Levels | None
) -> UInt8[np.ndarray, "size size 3"] | str:
    try:
        return decode(file, image_size, levels)
    except UnreadableImageError as error:
        return error.fault


def _unreadable(name: str, faults: Sequence[str], n_images: int) -> UserError:
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    damaged = any(not fault.endswith(f"{SAVE_AGAIN})") for fault in faults)
    mend = (
        " Put a whole copy of each there (download it again), or mend its permissions."
        if damaged
        else ""
    )
    return UserError(
        f"{len(faults)} of {n_images} images of data set '{name}' cannot be read: "
        f"{'; '.join(faults[:_NAMED])}{more}.{mend}"
    )


def _chunks(
    data: Dataset, sources: Sequence[Source], image_size: int, n_threads: int
) -> Iterator[Chunk]:
    length = max(1, min(_CHUNK, _CHUNK_BYTES // (image_size * image_size * 3)))
    pool = ThreadPoolExecutor(n_threads)
    # Not pool.map: it takes all chunks at once and holds every result that is not yet written.
    pending: deque[Future[Chunk]] = deque()
    try:
        for start in range(0, len(sources), length):
            if len(pending) == 2 * n_threads:
                yield pending.popleft().result()
            chunk = sources[start : start + length]
            pending.append(pool.submit(_decode_chunk, data, chunk, image_size))
        while pending:
            yield pending.popleft().result()
    finally:
        # A person who interrupts waits for the chunks in hand alone.
        pool.shutdown(cancel_futures=True)


def _decode_chunk(data: Dataset, sources: Sequence[Source], image_size: int) -> Chunk:
    pixels = np.zeros((len(sources), image_size, image_size, 3), dtype=np.uint8)
    faults: list[str] = []
    for row, (image_id, path) in enumerate(sources):
        try:
            pixels[row] = data.image(image_id, path, image_size)
        except UnreadableImageError as error:
            faults.append(error.fault)
        except OSError as error:  # of a data set that opens its files itself
            faults.append(f"{path or image_id} ({error})")
    return pixels, faults
