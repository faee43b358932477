"""An image file of any kind as RGB, upright and square: the one decoder, the one resampler.

What is not plain 8-bit RGB becomes so by fixed rules, never by a file's own range of values:

- 16-bit grey is scaled from 0..65535 to 0..255, not clipped. (12 bits stored in 16 come out dark
  where no other levels are asked for; see `data/intensity.py`.)
- 32-bit integers and floats have no range of their own, so they are read with given levels alone.
- Of a file of several pages the first is read.
- Transparent pixels, of a palette too, lie on black: outside the field of view medical images are
  black already, and so is what the strong view moves into a picture. The colour hidden below them
  is arbitrary and must not show.
- CMYK is converted by the plain formula; embedded colour profiles are not applied.
- EXIF may only turn or mirror the picture. An EXIF block that is damaged or asks for an
  orientation that does not exist turns nothing: the pixels are whole.
"""

import io
import struct
import threading
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets._dicom import DicomError, dicom_picture, dicom_values, is_dicom
from lmd_bench.data.image_suffixes import NIFTI_SUFFIXES
from lmd_bench.data.intensity import Levels

SAVE_AGAIN = "save it with 8 or 16 bits a value, or give --intensity auto or window:LOW,HIGH"
SAVE_SLICES = "save the slices that you want as PNG or TIFF, named by their patient"
# What Pillow raises on damaged files, found by cutting and altering JPEG, PNG, TIFF, BMP, WebP.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, struct.error)
_SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(UserError):
    """A file that gives no image; `fault` is the file and the reason, without the advice."""

    def __init__(self, path: Path, reason: str, mend: str = "") -> None:
        """Name the file and the reason; `mend` where the file is whole and must be another."""
        self.fault = f"{path} ({reason}{'; ' if mend else ''}{mend})"
        mend = mend or "put a whole copy of the file there"
        super().__init__(f"The image {path} cannot be read ({reason}); {mend}.")


class _KindError(ValueError):
    """A whole image of a kind that is not read."""


class _Quiet:
    """Silences Python's warnings for as long as any thread is inside.

    `warnings.catch_warnings` alone does not do: of two threads that overlap, the second to leave
    puts back the silence that it met, for the rest of the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._caught = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._caught.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            self._n_inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._caught.close()


# Pillow warns of odd metadata without the name of the file.
_QUIET = _Quiet()


def decode(
    path: Path, size: int, levels: Levels | None = None, content: bytes | None = None
) -> UInt8[np.ndarray, "size size 3"]:
    """Return an image file as RGB, upright and resized to a square with an antialiased filter.

    Args:
        path: of the file.
        size: pixels.
        levels: values that become black and white; None: those of the file's type.
        content: of the file, where it lies in an archive and `path` but names it.

    Raises:
        UnreadableImageError: the file is not a readable image.
    """
    try:
        with _QUIET:
            if is_dicom(path, content):
                return square(dicom_picture(path, levels, content), size)
            return square(_open_upright(path, size, levels, content), size)
    except DicomError as error:
        raise UnreadableImageError(path, str(error), error.mend) from error
    except _KindError as error:
        raise UnreadableImageError(path, str(error), SAVE_AGAIN) from error
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise UnreadableImageError(path, _reason(path, error)) from error


def square(image: Image.Image, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Return an RGB image resized to a square; the aspect ratio is not kept."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class FileValues:
    """The values that the first page of a file of more than 8 bits holds, and its pages."""

    bits: int  # of a value
    whole: bool  # numbers are whole
    low: float
    high: float
    span: float | None  # of all values that become grey levels; None: not known from the type


def inspect(path: Path, content: bytes | None = None) -> tuple[FileValues | None, int]:
    """Return the values of a file, None where it has 8 bits a value, and the number of its pages.

    Raises:
        UnreadableImageError: the file is not a readable image.
    """
    try:
        if is_dicom(path, content):
            with _QUIET:
                return _dicom_values(path, content)
        with _QUIET, Image.open(path if content is None else io.BytesIO(content)) as image:
            n_pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            if image.mode not in _SIXTEEN_BIT | {"I", "F"}:
                return None, n_pages
            image.load()
            return _values(image), n_pages
    except DicomError as error:
        raise UnreadableImageError(path, str(error), error.mend) from error
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise UnreadableImageError(path, _reason(path, error)) from error


def as_rgb(image: Image.Image, levels: Levels | None = None) -> Image.Image:
    """Return a loaded image as 8-bit RGB, by the rules at the head of this file.

    Raises:
        ValueError: its pixels have no fixed range (32-bit integers, floats) or no RGB form.
    """
    sixteen = image.mode in _SIXTEEN_BIT or (image.mode == "I" and image.format == "PNG")
    if levels is not None and (sixteen or image.mode in ("I", "F")):
        return Image.fromarray(levels.grey(np.asarray(image))).convert("RGB")
    if sixteen:
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        values = _values(image)
        kind = "whole numbers" if values.whole else "floats"
        raise _KindError(
            f"its pixels have 32 bits, {kind} from {values.low:g} to {values.high:g}; only 8 and "
            "16 are read"
        )
    rgb = _narrow_rgb(image)
    narrow = None if levels is None else levels.narrow
    return rgb if narrow is None else rgb.point(narrow.grey(np.arange(256)).tolist() * 3)


def _dicom_values(path: Path, content: bytes | None) -> tuple[FileValues | None, int]:
    values = dicom_values(path, content)
    if values.pixels.ndim == 3 or values.bits <= 8:
        return None, values.n_frames
    low, high = float(values.pixels.min()), float(values.pixels.max())
    whole = bool((values.pixels == np.rint(values.pixels)).all())
    return FileValues(values.bits, whole, low, high, values.span), values.n_frames


def _values(image: Image.Image) -> FileValues:
    pixels: Num[np.ndarray, "height width"] = np.asarray(image)
    bits = 16 if image.mode in _SIXTEEN_BIT else 32
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    span = 65535.0 if bits == 16 else None
    return FileValues(bits, image.mode != "F", low, high, span)


def _narrow_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        black = Image.new("RGBA", colour.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, colour).convert("RGB")
    return image.convert("RGB")


def _open_upright(
    path: Path, size: int, levels: Levels | None, content: bytes | None
) -> Image.Image:
    with Image.open(path if content is None else io.BytesIO(content)) as image:
        # A JPEG is decoded at half, quarter or eighth scale where twice the size is left.
        image.draft("RGB", (2 * size, 2 * size))
        image.load()  # before EXIF: a file cut short must not pass for one with damaged EXIF
        turn = _TRANSPOSES.get(_orientation(image))
        rgb = as_rgb(image, levels)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGED:
        return 1
    return value if isinstance(value, int) else 1


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which is named already
    if path.is_file() and path.stat().st_size == 0:
        return "it is empty"
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return f"it is a volume (NIfTI), not an image; {SAVE_SLICES}"
    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a known kind"
    return str(error)
