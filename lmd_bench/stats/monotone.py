"""A monotone curve through points."""

from collections.abc import Sequence

import numpy as np


def monotone(x: Sequence[float], y: Sequence[float], at: Sequence[float]) -> list[float]:
    """Return the monotone least-squares curve through points, falling or rising, read off at `at`.

    Between points it is a straight line, beyond them constant. Of both directions the one that
    leaves smaller squares is taken; of equals the falling one.

    Paper: Barlow and others, Statistical inference under order restrictions, 1972 (pool adjacent
    violators).

    Args:
        x: Distinct; at least one.
        y: One at each x.
        at: Where the curve is read off.
    """
    # Half a second to import, for which every search would wait.
    from scipy.optimize import isotonic_regression

    order = np.argsort(x)
    sorted_x, sorted_y = np.asarray(x, dtype=float)[order], np.asarray(y, dtype=float)[order]
    fits = [isotonic_regression(sorted_y, increasing=rising).x for rising in (False, True)]
    squares = [float(((fit - sorted_y) ** 2).sum()) for fit in fits]
    fit = fits[1] if squares[1] < squares[0] else fits[0]
    return [float(value) for value in np.interp(at, sorted_x, fit)]
