"""A DICOM file as a picture, and what its header says of patient and frames; through pydicom.

Rescale slope and intercept (or the modality table) are applied first, then the VOI table or the
first window. Where levels are asked for they take the window's place, in the units of the rescaled
values, such as Hounsfield units; without either the range of the stored bits is taken. MONOCHROME1
is inverted. Of several frames the first is read.

What pydicom says of a fault may quote a tag, so it is never passed on.
"""

import io
import logging
import struct
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Num
from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.data.image_suffixes import DICOM_SUFFIXES, SUFFIXES
from lmd_bench.data.intensity import Levels

if TYPE_CHECKING:
    from pydicom import Dataset as Tags

_MAGIC = slice(128, 132)
_INSTALL = "Reading DICOM files needs pydicom: pip install 'lmd-bench[dicom]'."
_DECOMPRESS = "save it uncompressed, as gdcmconv --raw or dcmdjpeg do"
# UID of a compression -> the module that decodes it for pydicom, and what installs that.
# Pillow and pydicom decode the others (RLE, JPEG of 8 bits). libjpeg is GPL-3, so it is no extra.
_DECODERS = {
    "1.2.840.10008.1.2.4.51": ("libjpeg", "pylibjpeg pylibjpeg-libjpeg"),  # JPEG of 12 bits
    "1.2.840.10008.1.2.4.57": ("gdcm", "python-gdcm"),  # JPEG Lossless
    "1.2.840.10008.1.2.4.70": ("gdcm", "python-gdcm"),
    "1.2.840.10008.1.2.4.80": ("jpeg_ls", "pyjpegls"),  # JPEG-LS
    "1.2.840.10008.1.2.4.81": ("jpeg_ls", "pyjpegls"),
    "1.2.840.10008.1.2.4.90": ("openjpeg", "pylibjpeg pylibjpeg-openjpeg"),  # JPEG 2000
    "1.2.840.10008.1.2.4.91": ("openjpeg", "pylibjpeg pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.201": ("openjpeg", "pylibjpeg pylibjpeg-openjpeg"),  # HTJ2K
    "1.2.840.10008.1.2.4.202": ("openjpeg", "pylibjpeg pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.203": ("openjpeg", "pylibjpeg pylibjpeg-openjpeg"),
}
# What pydicom raises on damaged files and on tags that are absent or not as they should be.
FAULTS = (
    *(AttributeError, ValueError, TypeError, KeyError, IndexError, EOFError, OSError),
    *(struct.error, NotImplementedError, RuntimeError, OverflowError),
)
# Tags that may name a person, and may be part of a path.
_NAMES = ("PatientID", "OtherPatientIDs", "PatientName", "PatientBirthDate", "AccessionNumber")


class DicomError(ValueError):
    """A file that gives no picture; `mend` where it is whole."""

    def __init__(self, reason: str, mend: str = "") -> None:
        """Say why, without a word of what the file holds."""
        super().__init__(reason)
        self.mend = mend


@dataclass(frozen=True)
class Header:
    """What a file says of itself; never to be written or shown."""

    patient: str  # "" where none is named
    names: tuple[str, ...]  # that may name a person
    uid: str  # of this image
    n_frames: int


@dataclass(frozen=True)
class DicomValues:
    """The values of the first frame after rescale."""

    pixels: Num[np.ndarray, "..."]
    bits: int  # stored
    span: float | None  # of the stored bits after rescale; None: a window says what is seen
    n_frames: int


def is_dicom(path: Path, content: bytes | None = None) -> bool:
    """Return whether a file is DICOM: by its ending, or by its magic where it has no other."""
    if content is not None:
        return content[_MAGIC] == b"DICM"
    ending = path.suffix.lower()
    if ending in DICOM_SUFFIXES:
        return True
    # Many systems name files by a number or a UID, whose last part looks like an ending.
    if ending in SUFFIXES or not (ending == "" or ending[1:].isdigit()):
        return False
    try:
        stat = path.stat()
    except OSError:
        return False
    # Lists the images of a medium, and holds none.
    return path.name.upper() != "DICOMDIR" and _has_magic(path, stat.st_size, stat.st_mtime_ns)


def read_header(path: Path) -> Header | None:
    """Return what a file says of its patient; None where it cannot be read, which decoding says.

    Raises:
        UserError: pydicom is not installed.
    """
    try:
        stat = path.stat()
    except OSError:
        return None
    return _header(path, stat.st_size, stat.st_mtime_ns)


def dicom_values(path: Path, content: bytes | None = None) -> DicomValues:
    """Return the values of the first frame.

    Raises:
        DicomError: the file gives none.
        UserError: pydicom is not installed.
    """
    tags, pixels = _pixels(path, content)
    has_window = bool(tags.get("VOILUTSequence")) or "WindowWidth" in tags
    low, high = (0.0, 0.0) if has_window or pixels.ndim == 3 else _stored_range(tags)
    return DicomValues(pixels, int(tags.BitsStored), high - low or None, _n_frames(tags))


def dicom_picture(
    path: Path, levels: Levels | None = None, content: bytes | None = None
) -> Image.Image:
    """Return the first frame as RGB, by the rules at the head of this file.

    Raises:
        DicomError: the file gives none.
        UserError: pydicom is not installed.
    """
    tags, pixels = _pixels(path, content)
    bits = int(tags.BitsStored)
    narrow = levels if levels is None or bits > 8 else levels.narrow
    if pixels.ndim == 3:
        colour = (pixels >> max(0, bits - 8)).astype(np.uint8)
        return Image.fromarray(colour if narrow is None else narrow.grey(pixels))
    try:
        grey = Levels(0.0, 1.0).grey(_seen(pixels, tags)) if narrow is None else narrow.grey(pixels)
    except FAULTS as error:
        mend = "give --intensity auto or window:LOW,HIGH"
        raise DicomError("its window is not one that DICOM allows", mend) from error
    if tags.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise UserError(_INSTALL) from error
    # Its messages may quote tags.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    return pydicom


def _pixels(path: Path, content: bytes | None) -> "tuple[Tags, Num[np.ndarray, '...']]":
    """Return the tags of a file and its first frame: grey after rescale, or RGB."""
    pydicom = _pydicom()
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

    try:
        tags = pydicom.dcmread(path if content is None else io.BytesIO(content))
        kind = str(tags.PhotometricInterpretation)
    except pydicom.errors.InvalidDicomError as error:
        raise DicomError("it is no DICOM file") from error
    except FAULTS as error:
        raise DicomError("it holds no picture, or is cut short") from error
    try:
        pixels = pixel_array(tags, index=0)
        if kind == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, tags)
            # Tables of 16 bits repeat each byte.
            return tags, pixels >> 8 if pixels.dtype.itemsize == 2 else pixels
        return tags, pixels if pixels.ndim == 3 else apply_modality_lut(pixels, tags)
    except FAULTS as error:
        raise _undecoded(tags) from error


def _undecoded(tags: "Tags") -> DicomError:
    """Return why pixels gave no picture: a decoder is not installed, or else they are damaged."""
    from pydicom.pixels import get_decoder

    syntax = getattr(tags, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None or not syntax.is_compressed:
        return DicomError("its pixels cannot be read, or are cut short")
    why = f"its pixels are compressed as {syntax.name}, and no decoder here reads them"
    try:
        get_decoder(syntax)
    except NotImplementedError:
        return DicomError(why, _DECOMPRESS)
    module, packages = _DECODERS.get(str(syntax), ("", ""))
    if packages and find_spec(module) is None:
        return DicomError(why, f"pip install {packages}, or {_DECOMPRESS}")
    return DicomError(f"its pixels, compressed as {syntax.name}, cannot be read, or are cut short")


def _seen(pixels: Num[np.ndarray, "h w"], tags: "Tags") -> Float64[np.ndarray, "h w"]:
    """Return pixels as shares, 0 to 1, of the range that the file is meant to be seen in."""
    from pydicom.pixels import apply_voi, apply_windowing

    if tags.get("VOILUTSequence"):
        item = tags.VOILUTSequence[0]
        n, first, bits = item.LUTDescriptor
        # pydicom counts the entries of a table of 8 bits in 8 bits, too few for its 256 and more.
        item.LUTDescriptor = [n, first, max(bits, 10)]
        entries = np.clip(np.rint(pixels), -(2**31), 2**31 - 1).astype(np.int64)
        return apply_voi(entries, tags) / (2**bits - 1)
    if "WindowWidth" in tags and "WindowCenter" in tags:
        # What lies outside of any window becomes the ends of the range that pydicom gives.
        ends = np.array([-np.inf, np.inf])
        seen = apply_windowing(np.concatenate([pixels.ravel().astype(np.float64), ends]), tags)
        low, high = seen[-2:]
        return ((seen[:-2] - low) / (high - low)).reshape(pixels.shape)
    low, high = _stored_range(tags)
    return (pixels - low) / (high - low)


def _stored_range(tags: "Tags") -> tuple[float, float]:
    """Return the smallest and the largest value that the stored bits can hold, after rescale."""
    from pydicom.pixels import apply_modality_lut

    bits = int(tags.BitsStored)
    signed = int(tags.PixelRepresentation) == 1
    stored = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1]
    ends = apply_modality_lut(np.array(stored), tags)
    return float(ends.min()), float(ends.max())


@lru_cache(2**17)
def _header(path: Path, size: int, mtime_ns: int) -> Header | None:
    """Return the header of a file of this size and date, read once in a process."""
    pydicom = _pydicom()
    wanted = [*_NAMES, "SOPInstanceUID", "NumberOfFrames"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
            texts = tuple(str(tags[name].value or "").strip() for name in _NAMES if name in tags)
            patient = str(tags.get("PatientID") or "").strip()
            return Header(patient, texts, str(tags.get("SOPInstanceUID", "")), _n_frames(tags))
    except (*FAULTS, pydicom.errors.InvalidDicomError):
        return None


def _n_frames(tags: "Tags") -> int:
    return int(tags.get("NumberOfFrames") or 1)


@lru_cache(2**17)
def _has_magic(path: Path, size: int, mtime_ns: int) -> bool:
    with path.open("rb") as stream:
        return stream.read(_MAGIC.stop)[_MAGIC] == b"DICM"
