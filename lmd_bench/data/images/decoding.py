"""Decodes the images of a data set in order, in worker processes, a bounded number at a time."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lmd_bench.core.errors import UserError
from lmd_bench.data import datasets
from lmd_bench.data.datasets._decode import UnreadableImageError

Source = tuple[str, Path | None]  # an image's id and file
Pixels = UInt8[np.ndarray, "chunk size size 3"]
Chunk = tuple[Pixels, list[str]]  # pixels, and what is wrong with those that could not be read

_CHUNK = 64  # images that a worker decodes at a time, fewer where they are large
_CHUNK_BYTES = 8 * 2**20
_NAMED = 5  # unreadable images that an error names; of the rest it gives the count


def decode_all(
    name: str, sources: Sequence[Source], image_size: int, n_workers: int
) -> Iterator[Pixels]:
    """Yield the pixels of `sources` in order, a chunk at a time.

    An unreadable image is black, and the others are still looked at: the error after the last
    chunk names them together.

    Raises:
        UserError: after the last chunk, if any image was unreadable; or a worker was killed.
    """
    faults: list[str] = []
    for pixels, found in _chunks(name, sources, image_size, n_workers):
        faults += found
        yield pixels
    if faults:
        raise _unreadable(name, faults, len(sources))


def _unreadable(name: str, faults: Sequence[str], n_images: int) -> UserError:
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    return UserError(
        f"{len(faults)} of {n_images} images of data set '{name}' cannot be read: "
        f"{'; '.join(faults[:_NAMED])}{more}. Put a whole copy of each there (download it again), "
        "or mend its permissions."
    )


def _chunks(
    name: str, sources: Sequence[Source], image_size: int, n_workers: int
) -> Iterator[Chunk]:
    length = max(1, min(_CHUNK, _CHUNK_BYTES // (image_size * image_size * 3)))
    parts = [sources[start : start + length] for start in range(0, len(sources), length)]
    if n_workers <= 1:
        for part in parts:
            yield _decode_chunk(name, part, image_size)
        return
    # Not forked: the caller may hold threads (torch, Ray) that do not survive a fork.
    pool = ProcessPoolExecutor(
        min(n_workers, len(parts)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
    )
    # Not pool.map: it takes all chunks at once and holds every result that is not yet written.
    pending: deque[Future[Chunk]] = deque()
    try:
        for part in parts:
            if len(pending) == 2 * n_workers:
                yield pending.popleft().result()
            pending.append(pool.submit(_decode_chunk, name, part, image_size))
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "A process that decodes images was killed, which often means too little memory; give "
            "this job more, or fewer cores, and run the same command again."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(name: str, sources: Sequence[Source], image_size: int) -> Chunk:
    data = datasets.load(name)
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


def _prepare_worker() -> None:
    """Let a worker end when the process that started it is killed; it would wait for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    threading.Thread(target=watch, daemon=True).start()
