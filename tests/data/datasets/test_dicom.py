"""DICOM files as a hospital has them: grey levels, faults, and nobody's name."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns
from lmd_bench.data.build import source_notes
from lmd_bench.data.datasets import load
from lmd_bench.data.datasets._decode import UnreadableImageError, decode, inspect
from lmd_bench.data.images.named import named_images
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.intensity import Levels
from tests.data.datasets.dicom import NAMES, WORDS, table, write, write_compressed
from tests.data.datasets.layouts import write_image

STEPS = np.array([[0, 1000], [2000, 4095]])
FIRST, SECOND = NAMES


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def grey(file, levels=None):
    pixels = decode(file, 2, levels)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].tolist()


def test_without_a_window_the_range_is_that_of_the_stored_bits(tmp_path):
    assert grey(write(tmp_path / "a.dcm", STEPS)) == [[0, 62], [125, 255]]
    signed = write(tmp_path / "b.dcm", [[-2048, 0], [1000, 2047]])
    assert grey(signed) == [[0, 128], [190, 255]]


def test_the_window_is_in_units_after_rescale(tmp_path):
    # Black at 0 and white at 1000 Hounsfield units: center 500.5, width 1001 by the standard.
    window = {"WindowCenter": 500.5, "WindowWidth": 1001, "RescaleIntercept": -1000}
    file = write(tmp_path / "a.dcm", [[0, 1000], [1500, 4000]], RescaleSlope=1, **window)
    assert grey(file) == [[0, 0], [128, 255]]


def test_the_first_of_several_windows_is_taken(tmp_path):
    windows = {"WindowCenter": [500.5, 9], "WindowWidth": [1001, 9]}
    assert grey(write(tmp_path / "a.dcm", [[0, 250], [500, 1000]], **windows)) == [
        [0, 64],
        [128, 255],
    ]


def test_monochrome1_is_inverted_with_a_window_with_levels_and_with_neither(tmp_path):
    mono = {"PhotometricInterpretation": "MONOCHROME1"}
    plain = write(tmp_path / "a.dcm", STEPS, **mono)
    assert grey(plain) == [[255, 193], [130, 0]]
    assert grey(plain, Levels(0.0, 2000.0)) == [[255, 127], [0, 0]]
    window = {"WindowCenter": 1000.5, "WindowWidth": 2001}
    assert grey(write(tmp_path / "b.dcm", STEPS, **mono, **window)) == [[255, 127], [0, 0]]


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (12, 4095), (16, 65535)])
def test_a_voi_table_is_applied_whatever_its_bits(tmp_path, bits, white):
    entries = [round(white * (i / 999) ** 2) for i in range(1000)]
    file = write(tmp_path / "a.dcm", [[0, 500], [999, 4095]], VOILUTSequence=table(bits, entries))
    assert grey(file) == [[0, 64], [255, 255]]


def test_levels_take_the_place_of_the_window(tmp_path):
    window = {"WindowCenter": 10, "WindowWidth": 5, "RescaleIntercept": -1000, "RescaleSlope": 1}
    file = write(tmp_path / "a.dcm", [[0, 1000], [2000, 3000]], **window)
    assert grey(file, Levels(-1000.0, 1000.0)) == [[0, 128], [255, 255]]


def test_a_window_that_is_not_allowed_says_what_to_do(tmp_path):
    file = write(tmp_path / "a.dcm", STEPS, WindowCenter=10, WindowWidth=0)
    with pytest.raises(UnreadableImageError, match=r"its window is not .*; give --intensity auto"):
        decode(file, 2)


def test_the_first_frame_is_read(tmp_path):
    file = write(tmp_path / "a.dcm", np.stack([STEPS, STEPS[::-1]]))
    assert grey(file) == [[0, 62], [125, 255]]
    assert inspect(file)[1] == 2


def test_colour_stays(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 8, 7]]])
    np.testing.assert_array_equal(decode(write(tmp_path / "a.dcm", colours), 2), colours)


def test_a_file_is_known_by_its_magic_where_its_ending_says_nothing(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder / "IM0001", STEPS)
        write(tmp_path / folder / "1.2.840.17", STEPS)
        write(tmp_path / folder / "DICOMDIR", STEPS)
    assert len(load("folder").read(tmp_path)) == 4
    assert grey(tmp_path / "a" / "IM0001") == [[0, 62], [125, 255]]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda whole: b"no", "it is no DICOM file"),
        (lambda whole: whole[:400], "it holds no picture, or is cut short"),
        (lambda whole: whole[:-4], "its pixels cannot be read, or are cut short"),
    ],
)
def test_a_broken_file_is_told_of_without_what_it_holds(tmp_path, broken, reason):
    file = write(tmp_path / "a.dcm", STEPS)
    file.write_bytes(broken(file.read_bytes()))
    with pytest.raises(UnreadableImageError, match=reason) as error:
        decode(file, 2)
    assert not any(word in str(error.value) for word in WORDS)


def test_a_missing_decoder_is_told_of_with_what_to_install(tmp_path):
    file = write_compressed(tmp_path / "a.dcm")
    with pytest.raises(
        UnreadableImageError, match=r"compressed as MPEG-4 .*; save it uncompressed"
    ):
        decode(file, 2)


# Of pydicom's own files: a compression, the module that decodes it, and the mean of its greys.
@pytest.mark.parametrize(
    ("name", "module", "mean"),
    [
        ("MR_small_RLE.dcm", "pydicom", 113.2),
        ("SC_rgb_jpeg.dcm", "PIL", 244.0),
        ("MR_small_jp2klossless.dcm", "openjpeg", 113.2),
        ("GDCMJ2K_TextGBR.dcm", "openjpeg", 124.4),
        ("MR_small_jpeg_ls_lossless.dcm", "jpeg_ls", 113.2),
        ("SC_rgb_jpeg_gdcm.dcm", "gdcm", 127.7),
    ],
)
def test_compressed_files_are_decoded(name, module, mean):
    if find_spec(module) is None:
        pytest.skip(f"the decoder {module} is not installed")
    file = get_testdata_file(name, download=False)
    assert isinstance(file, str)
    assert decode(Path(file), 32).mean() == pytest.approx(mean, abs=0.1)


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("SC_rgb_jpeg_gdcm.dcm", "gdcm", "JPEG Lossless.* pip install python-gdcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "jpeg_ls", "JPEG-LS .* pip install pyjpegls"),
        ("JPGExtended.dcm", "libjpeg", "JPEG Extended .* pip install pylibjpeg pylibjpeg-libjpeg"),
    ],
)
def test_the_package_of_a_missing_decoder_is_named(name, module, message, monkeypatch):
    broken = NotImplementedError("as where it is not installed")
    monkeypatch.setattr("pydicom.pixels.pixel_array", Mock(side_effect=broken))
    monkeypatch.setattr(
        "lmd_bench.data.datasets._dicom.find_spec", lambda asked: None if asked == module else 1
    )
    file = get_testdata_file(name, download=False)
    assert isinstance(file, str)
    with pytest.raises(UnreadableImageError, match=f"compressed as {message}"):
        decode(Path(file), 32)


def test_damage_is_not_taken_for_a_missing_decoder(tmp_path):
    file = get_testdata_file("MR_small_RLE.dcm", download=False)
    assert isinstance(file, str)
    (tmp_path / "a.dcm").write_bytes(Path(file).read_bytes()[:-900])
    with pytest.raises(UnreadableImageError, match=r"cut short\); put a whole copy"):
        decode(tmp_path / "a.dcm", 2)


def test_without_pydicom_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        write(tmp_path / folder / "1.dcm", STEPS)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=re.escape("needs pydicom: pip install 'lmd-bench[dicom]'")):
        load("folder").read(tmp_path)
    with pytest.raises(UserError, match="needs pydicom"):
        decode(tmp_path / "a" / "1.dcm", 2)


def two_patients(root):
    for patient, folder in zip(NAMES, ("a", "b"), strict=True):
        for i in range(2):
            write(root / folder / f"{patient[-1]}{i}.dcm", STEPS + i, patient)


def test_the_patient_is_the_group_by_a_hash(tmp_path):
    two_patients(tmp_path)
    read = load("folder").read(tmp_path)
    first, second = read.groups[0], read.groups[2]
    assert read.groups == (first, first, second, second)
    assert first != second
    assert re.fullmatch(r"patient-[0-9a-f]{16}", first)
    (note,) = source_notes(["folder"], DataSource(tmp_path))
    assert note == "folder: the 4 DICOM files are of 2 patients, known by a hash"
    # Another patient changes nobody's hash.
    write(tmp_path / "b" / "new.dcm", STEPS, "HOSP-1")
    assert load("folder").read(tmp_path).groups[:2] == (first, first)


def test_one_patient_for_all_says_nothing_of_who_is_who(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder / "1.dcm", STEPS, "ANON")
    assert load("folder").read(tmp_path).groups == ("image:a/1", "image:b/1")
    (note,) = source_notes(["folder"], DataSource(tmp_path))
    assert "the 2 DICOM files name one patient or none" in note


def test_a_file_without_a_patient_is_its_own_group(tmp_path):
    two_patients(tmp_path)
    write(tmp_path / "b" / "x.dcm", STEPS, "")
    write_image(tmp_path / "b" / "y.png")
    assert load("folder").read(tmp_path).groups[-2:] == ("image:b/x", "image:b/y")


def listed(root):
    files = [
        f"{FIRST}/Doebermann_Johannes_1.dcm",
        f"x/{FIRST}.dcm",
        "M Annamaria/plain.dcm",
        "x/3.dcm",
    ]
    for file, patient in zip(files, (FIRST, FIRST, SECOND, SECOND), strict=True):
        write(root / file, STEPS, patient)
    rows = [f"{files[0]},a,P1", f"{FIRST},a,P1", f"{files[2]},b,P2", "3,b,"]
    csv = root / "list.csv"
    csv.write_text("\n".join(["file,dx,who", *rows]))
    return TableColumns(csv, "file", "dx")


def test_a_path_that_names_its_patient_is_hidden_and_found(tmp_path):
    columns = listed(tmp_path)
    data = load("folder", columns)
    read = data.read(tmp_path)
    assert not any(word.lower() in " ".join(read.image_ids).lower() for word in WORDS)
    assert read.image_ids[3] == "3"
    assert re.fullmatch(r"hidden-[0-9a-f]{16}/plain", read.image_ids[2])
    # A table alone, such as that of the cache, leads back to the files.
    again = load("folder", columns).paths(tmp_path, read)
    assert [path and path.name for path in again] == [
        "Doebermann_Johannes_1.dcm",
        f"{FIRST}.dcm",
        "plain.dcm",
        "3.dcm",
    ]
    assert len(prepare("folder", DataSource(tmp_path, columns=columns), 8).table) == 4


def test_groups_of_a_column_are_hashed_too_beside_dicom_files(tmp_path):
    columns = listed(tmp_path)
    named = TableColumns(columns.images_csv, "file", "dx", "who")
    groups = load("folder", named).read(tmp_path).groups
    assert groups[0] == groups[1] != groups[2]
    assert all(re.fullmatch(r"group-[0-9a-f]{16}", group) for group in groups[:3])
    assert groups[3] == "image:3"


def test_several_frames_are_counted(tmp_path):
    two_patients(tmp_path)
    write(tmp_path / "b" / "x.dcm", np.stack([STEPS, STEPS]), SECOND)
    notes = source_notes(["folder"], DataSource(tmp_path))
    assert "folder: 1 files have several pages or frames, of which the first is read" in notes


def test_twelve_stored_bits_are_no_note_and_sixteen_that_use_twelve_are(tmp_path):
    two_patients(tmp_path)
    assert len(source_notes(["folder"], DataSource(tmp_path))) == 1
    for folder in ("a", "b"):
        for file in (tmp_path / folder).iterdir():
            write(file, STEPS, FIRST if folder == "a" else SECOND, BitsStored=16, HighBit=15)
    note = source_notes(["folder"], DataSource(tmp_path))[1]
    assert "they use 12 bits and 16 of 256 grey levels" in note


def test_auto_takes_one_range_over_all_files_after_rescale(tmp_path):
    for folder, value in (("a", 0), ("b", 3000)):
        tags = {"RescaleIntercept": -1000, "RescaleSlope": 1, "WindowCenter": 9, "WindowWidth": 9}
        write(tmp_path / folder / "1.dcm", np.full((8, 8), value), folder, **tags)
    prepared = prepare("folder", DataSource(tmp_path, intensity="auto"), 8)
    assert prepared.intensity == "auto:-1000,2000"
    assert prepared.read(np.arange(2))[:, 0, 0, 0].tolist() == [0, 255]


def test_images_to_predict_may_be_dicom(tmp_path):
    two_patients(tmp_path)
    assert len(named_images([tmp_path])) == 4


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_volume_is_refused_in_a_sentence_that_says_what_to_do(tmp_path, ending):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"scan.{ending}").write_bytes(b"x" * 400)
    advice = "save the slices that you want as PNG or TIFF"
    with pytest.raises(UserError, match=rf"1 volumes \(NIfTI\), first a/scan.{ending}.*{advice}"):
        load("folder").read(tmp_path)
    write_image(tmp_path / "b" / "1.png")
    write_image(tmp_path / "c" / "1.png")
    with pytest.raises(UserError, match=advice):
        load("folder").read(tmp_path)
    csv = tmp_path / "list.csv"
    csv.write_text(f"file,dx\nb/1.png,b\na/scan.{ending},a\n")
    with pytest.raises(UserError, match=advice):
        prepare("folder", DataSource(tmp_path, columns=TableColumns(csv, "file", "dx")), 8)
    with pytest.raises(UnreadableImageError, match=advice):
        decode(tmp_path / "a" / f"scan.{ending}", 8)
