"""Drawings: numbers go where they belong, and nothing that comes from data is markup."""

from math import nan
from xml.etree import ElementTree

import pytest

from lmd_bench.report.drawing.bars import bar_chart, shortened
from lmd_bench.report.drawing.canvas import (
    N_STYLES,
    Axis,
    Frame,
    Scale,
    nice_ticks,
    sample,
    tick_text,
)
from lmd_bench.report.drawing.lines import Series, line_chart
from lmd_bench.report.drawing.parallel import Setting, Track, parallel_chart
from lmd_bench.report.drawing.reliability import Bin, reliability_chart

FRAME = Frame(100, 100, left=0, right=0, top=0, bottom=0)
AXES = (Axis("x", (0.0, 10.0), 0.0, 10.0), Axis("y", (0.0, 10.0), 0.0, 10.0))


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def of_class(svg: str, kind: str) -> list[ElementTree.Element]:
    return [part for part in parsed(svg).iter() if part.get("class") == kind]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (33, 57, [30, 40, 50, 60]),
        (-2, 2, [-2, -1, 0, 1, 2]),
        (5, 5, [4.5, 4.75, 5, 5.25, 5.5]),
    ],
)
def test_ticks_are_round_and_hold_the_range(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == ticks


@pytest.mark.parametrize("high", [1e-6, 0.37, 7, 12345, 9.99e8])
def test_there_are_few_ticks_at_any_size(high: float) -> None:
    ticks = nice_ticks(0, high)
    assert 3 <= len(ticks) <= 6
    assert ticks[0] <= 0 < high <= ticks[-1] * (1 + 1e-9)


def test_a_log_scale_puts_10_halfway_between_1_and_100() -> None:
    assert Scale(1, 100, 0, 200, log=True)(10) == pytest.approx(100)
    assert Scale(3, 3, 0, 200)(3) == 100


def test_a_tick_has_a_true_minus_and_no_needless_zeros() -> None:
    assert [tick_text(value) for value in (0.5, -20.0, 100.0)] == ["0.5", "−20", "100"]


def test_a_line_runs_through_its_points_with_y_upwards() -> None:
    svg = line_chart("a", "t", "d", FRAME, AXES, [Series("crt", [0, 10], [0, 10])])
    assert [part.get("d") for part in of_class(svg, "curve")] == ["M0.0 100.0L100.0 0.0"]


def test_an_undefined_value_leaves_a_gap_in_the_line() -> None:
    values = [1, 2, nan, 3, 4]
    svg = line_chart("a", "t", "d", FRAME, AXES, [Series("crt", [0, 1, 2, 3, 4], values)])
    assert len(of_class(svg, "curve")) == 2


def test_a_band_goes_up_one_bound_and_back_along_the_other() -> None:
    series = Series("crt", [0, 10], [5, 5], low=[4, 4], high=[6, 6])
    (band,) = of_class(line_chart("a", "t", "d", FRAME, AXES, [series]), "band")
    assert band.get("d") == "M0.0 40.0L100.0 40.0L100.0 60.0L0.0 60.0Z"


def test_markers_keep_a_distance_and_the_last_point_has_one() -> None:
    frame = Frame(1000, 100, left=0, right=0, top=0, bottom=0)
    axes = (Axis("x", (), 0.0, 1000.0), AXES[1])
    svg = line_chart("a", "t", "d", frame, axes, [Series("crt", range(1001), [5.0] * 1001)])
    places = [float(mark.get("cx", "")) for mark in of_class(svg, "mark")]
    assert places[0] == 1000
    assert all(a - b >= 34 for a, b in zip(places, places[1:], strict=False))


def test_every_style_differs_in_marker_and_class() -> None:
    drawn = [sample(style).replace(f"s{style}", "") for style in range(N_STYLES)]
    assert len(set(drawn)) == N_STYLES


@pytest.mark.parametrize(
    "svg",
    [
        line_chart("a", "<b>", '"&', FRAME, AXES, [Series("<i>", [0, 1], [1, 2])]),
        bar_chart("a", "<b>", "&", [("<i>", 0.5)]),
        reliability_chart("a", "<b>", "&", [Bin(0.5, 0.4, 10)]),
        parallel_chart("a", "<b>", "&", [Setting("<i>", 0, 1), Setting("</svg>", 0, 1)], []),
    ],
)
def test_a_drawing_is_named_described_and_escaped(svg: str) -> None:
    root = parsed(svg)
    assert root.get("role") == "img"
    names = {part.get("id"): part.text for part in root if part.get("id")}
    assert list(names) == (root.get("aria-labelledby") or "").split()
    assert list(names.values())[0] == "<b>"
    assert not [part for part in root.iter() if part.tag in ("b", "i")]


def test_a_bar_is_as_long_as_its_share() -> None:
    bars = of_class(bar_chart("a", "t", "d", [("lr", 0.6), ("decay", 0.3)]), "bar")
    long, short = (float(bar.get("width", "")) for bar in bars)
    assert long == pytest.approx(2 * short, abs=0.1)


def test_a_long_label_loses_its_middle() -> None:
    assert shortened("training.weight_decay", 11) == "train…decay"
    assert shortened("lr", 11) == "lr"


def test_choices_lie_evenly_and_unknown_values_nowhere() -> None:
    setting = Setting("schedule", choices=("a", "b", "c"))
    assert [setting.place(choice) for choice in ("a", "b", "c")] == [0.0, 0.5, 1.0]
    assert Setting("lr", 0.001, 0.1, log=True).place(0.01) == pytest.approx(0.5)
    assert setting.place(None) != setting.place(None)


def test_a_trial_has_a_gap_where_a_setting_was_not_its_own() -> None:
    settings = [Setting(name, 0, 1) for name in "abcde"]
    track = Track({"a": 0.0, "b": 1.0, "d": 0.5, "e": 0.5}, "best")
    svg = parallel_chart("a", "t", "d", settings, [track])
    assert len(of_class(svg, "track best")) == 2
