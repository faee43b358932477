import numpy as np
from PIL import Image

from lmd_bench.data.checks.readable import unreadable_images
from lmd_bench.data.datasets import load


def test_every_empty_or_broken_file_is_listed_with_its_cause(tmp_path):
    sources = [(name, tmp_path / f"{name}.jpg") for name in ("good", "empty", "text", "cut")]
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for _, path in sources:
        Image.fromarray(pixels).save(path)
    sources[1][1].write_bytes(b"")
    sources[2][1].write_text("no image")
    sources[3][1].write_bytes(sources[3][1].read_bytes()[:900])
    found = unreadable_images(load("ham10000"), sources, 2)
    assert [image.image_id for image in found] == ["empty", "text", "cut"]
    assert found[0].cause == "the file is empty"
    assert "cannot be read" in found[1].cause
