"""Small DICOM files, written with pydicom."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, ExplicitVRLittleEndian

NAMES = {"HOSP-7340": "Doebermann^Johannes", "HOSP-7341": "Müllerová^Annamaria Rosa"}
# Long enough not to stand in random bytes.
WORDS = (*NAMES, "Doebermann", "Johannes", "Müllerová", "Annamaria", "19500102", "AC-99")


def write(file: Path, values: Any, patient: str = "HOSP-7340", **tags: Any) -> Path:
    """Write grey values (height x width; frames before them) of 12 bits, or RGB of 8."""
    pixels = np.asarray(values)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.SOPInstanceUID = f"1.2.3.{abs(hash(str(file))) % 10**12}"
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientID, data.PatientName = patient, NAMES.get(patient, "")
    data.PatientBirthDate, data.AccessionNumber = "19500102", "AC-99"
    colour = pixels.shape[-1] == 3 and pixels.ndim == 3
    rows, columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    data.Rows, data.Columns = int(rows), int(columns)
    data.SamplesPerPixel = 3 if colour else 1
    data.PlanarConfiguration = 0
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = (8, 8, 7) if colour else (16, 12, 11)
    data.PixelRepresentation = int(pixels.min() < 0)
    if pixels.ndim == 3 and not colour:
        data.NumberOfFrames = len(pixels)
    kind = np.uint8 if colour else np.int16 if pixels.min() < 0 else np.uint16
    data.PixelData = pixels.astype(kind).tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    file.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(file, enforce_file_format=True)
    return file


def write_compressed(file: Path) -> Path:
    """Write a file whose compression pydicom knows by name alone."""
    write(file, np.zeros((8, 8)))
    import pydicom

    data = pydicom.dcmread(file)
    data.file_meta.TransferSyntaxUID = MPEG4HP41
    data.PixelData = encapsulate([b"\xff\x0a0123"])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(file, enforce_file_format=True)
    return file


def table(bits: int, entries: list[int], first: int = 0) -> list[Dataset]:
    """Return a VOI table."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "US", entries)
    return [item]
