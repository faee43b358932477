import hashlib

import numpy as np

from lmd_bench.data.checks.doubles import file_digests, identical_sets, pixel_digests


def test_digests_are_sha_256_of_the_files(tmp_path):
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        file.write_bytes(file.name.encode())
    expected = tuple(hashlib.sha256(name).hexdigest() for name in (b"a", b"b"))
    assert file_digests(files, 2) == expected


def test_images_without_a_file_of_their_own_have_no_digest(tmp_path):
    archive, own = tmp_path / "all.npz", tmp_path / "own"
    archive.write_bytes(b"many")
    own.write_bytes(b"one")
    digests = file_digests([archive, own, archive, None], 1)
    assert [digest is None for digest in digests] == [True, False, True, True]


def test_rows_of_one_digest_are_one_set_however_many():
    assert identical_sets(["p", "q", "p", None, "r", "q", "p", None]) == ((0, 2, 6), (1, 5))


def test_one_pixel_makes_another_digest():
    pixels = np.zeros((3, 4, 4, 3), dtype=np.uint8)
    pixels[2, 1, 1, 0] = 1
    assert identical_sets(pixel_digests(pixels)) == ((0, 1),)
