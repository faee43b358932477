"""Decoding in threads: bounded, in order, all faults in one error."""

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data import datasets
from lmd_bench.data.images import decoding as _decoding
from lmd_bench.data.images.decoding import decode_all
from tests.raw import image_file, write_seven_greys

HAM10000 = datasets.load("ham10000")


@pytest.fixture
def sources(tmp_path):
    root = write_seven_greys(tmp_path / "raw")
    return [(f"I{i}", image_file(root, f"I{i}")) for i in range(7)]


@pytest.fixture
def one_at_a_time(monkeypatch):
    monkeypatch.setattr(_decoding, "_CHUNK", 1)


def break_file(source, content=b"not a picture"):
    source[1].write_bytes(content)


def test_all_unreadable_images_stand_in_one_error_with_their_reasons(sources, one_at_a_time):
    break_file(sources[1])
    break_file(sources[3], b"")
    sources[6][1].unlink()
    blocks = decode_all(HAM10000, sources, 8, 1)
    seen = [next(blocks) for _ in range(7)]  # the whole ones come all the same
    np.testing.assert_allclose(seen[5], 60, atol=1)
    sentence = (
        r"3 of 7 images of data set 'ham10000' cannot be read: "
        r".*I1\.jpg \(it is no image of a known kind\); .*I3\.jpg \(it is empty\); "
        r".*I6\.jpg \(No such file or directory\)\. Put a whole copy"
    )
    with pytest.raises(UserError, match=sentence):
        next(blocks)


def test_an_error_names_the_first_few_and_counts_the_others(sources):
    for source in sources:
        break_file(source)
    with pytest.raises(UserError, match=r"7 of 7 images .*I4\.jpg \([^;]*; and 2 more\. ") as error:
        list(decode_all(HAM10000, sources, 8, 1))
    assert "I5.jpg" not in str(error.value)


class InlinePool:
    """A pool that decodes when it is asked to, and counts what waits to be taken."""

    def __init__(self, *arguments, **settings):
        self.waiting, self.most = 0, 0
        InlinePool.last = self

    def submit(self, function, *arguments):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return Result(self, function(*arguments))

    def shutdown(self, *, cancel_futures):
        assert cancel_futures


class Result:
    def __init__(self, pool, value):
        self.pool, self.value = pool, value

    def result(self):
        self.pool.waiting -= 1
        return self.value


def test_no_more_chunks_are_in_flight_than_two_a_thread(sources, one_at_a_time, monkeypatch):
    monkeypatch.setattr(_decoding, "ThreadPoolExecutor", InlinePool)
    blocks = list(decode_all(HAM10000, sources, 8, 2))
    assert InlinePool.last.most == 4
    greys = [block.mean() for block in blocks]
    np.testing.assert_allclose(greys, [10, 20, 30, 40, 50, 60, 70], atol=1)


def test_a_chunk_of_large_images_holds_fewer_of_them(sources):
    assert [len(block) for block in decode_all(HAM10000, sources, 1024, 1)] == [2, 2, 2, 1]


def test_a_fault_of_a_data_set_that_opens_its_own_files_names_the_image(sources, monkeypatch):
    def lost(self, image_id, path, size):
        raise OSError(116, "Stale file handle", "archive.npz")

    monkeypatch.setattr("lmd_bench.data.datasets.ham10000.Ham10000.image", lost)
    nowhere = [(image_id, None) for image_id, _ in sources[:1]]
    with pytest.raises(UserError, match=r"1 of 1 images .*: I0 \(.*Stale file handle: 'archive"):
        list(decode_all(HAM10000, nowhere, 8, 1))
