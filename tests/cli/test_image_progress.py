"""The bar of preparing images: on stderr, and only while images are decoded."""

import pytest

from lmd_bench.cli.progress import image_progress


def test_a_bar_is_drawn_while_images_are_decoded(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with image_progress() as progress:
        progress("ham10000", 64, 200)
        progress("ham10000", 200, 200)
    seen = capfd.readouterr()
    assert "Preparing ham10000" in seen.err
    assert "200/200" in seen.err
    assert not seen.out


def test_nothing_is_drawn_where_the_cache_holds_the_images(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with image_progress():
        pass
    seen = capfd.readouterr()
    assert not seen.out + seen.err


def test_the_bar_ends_with_an_error(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")

    def fails_half_way():
        with image_progress() as progress:
            progress("ham10000", 64, 200)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails_half_way()
    # The cursor is shown again, and the bar's line wiped.
    assert capfd.readouterr().err.rstrip("\r\n").endswith("\x1b[?25h\r\x1b[1A\x1b[2K")
