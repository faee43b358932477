"""A reliability diagram: accuracy against confidence, and how many images each bin holds.

Source: Niculescu-Mizil and Caruana, Predicting good probabilities with supervised learning, ICML
2005; bins of equal width as in Guo et al., ICML 2017. URL: https://arxiv.org/abs/1706.04599
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lmd_bench.report.drawing.canvas import Axis, Frame, Number, axes, drawing, line

_FRAME = Frame(240, 236, left=42, right=10, top=10, bottom=38)
_TICKS = (0.0, 25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True)
class Bin:
    """The images of one bin of confidence."""

    confidence: Number  # mean, in [0, 1]
    accuracy: Number
    n_images: int
    is_sparse: bool = False  # so few that its accuracy says next to nothing


def reliability_chart(name: str, title: str, description: str, bins: Sequence[Bin]) -> Markup:
    """Return the diagram of the bins that hold images.

    A bar reaches from perfect calibration to the accuracy of its bin; the size of its marker grows
    with the share of images in it, and its number is in the table below the figure.
    """
    x = Axis("confidence, %", _TICKS, 0.0, 100.0)
    y = Axis("accuracy, %", _TICKS, 0.0, 100.0)
    place_x, place_y = x.scale(*_FRAME.x_range), y.scale(*_FRAME.y_range)
    parts = axes(_FRAME, x, y)
    parts.append(line(place_x(0), place_y(0), place_x(100), place_y(100), "diagonal"))
    total = sum(one.n_images for one in bins)
    for one in bins:
        at, is_at = place_x(100 * one.confidence), place_y(100 * one.accuracy)
        parts.append(line(at, place_y(100 * one.confidence), at, is_at, "gap"))
        share = one.n_images / total
        parts.append(
            Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(
                "mark sparse" if one.is_sparse else "mark", at, is_at, 2.0 + 9.0 * share**0.5
            )
        )
    body = Markup('<g class="s0">{}</g>').format(Markup("").join(parts))
    return drawing(name, title, description, _FRAME, [body])
