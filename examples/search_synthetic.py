"""Searches three methods on drawn images and prints their leaderboard: no download, a few minutes.

Run it with `python examples/search_synthetic.py [RESULTS]`. Stop it at any moment: the same command
goes on where it stood.
"""

import sys

import lmd_bench as lb

METHODS = ["cross_entropy", "crt", "logit_adjustment"]


def main(results: str) -> None:
    """Search, then read what the search left in the folder `results`."""
    lb.run_search(
        "synthetic",
        METHODS,
        imbalance_factor=50,
        n_max=200,
        image_size=16,
        epochs=2,
        trials=2,
        confirm_seeds=2,
        results=results,
    )
    stored = lb.open_results(results)
    print(stored.leaderboard().render("markdown"))

    # Which epoch was kept, and what each row cost, are columns like any other.
    rows = stored.rows()
    print(rows[["method", "phase", "best_epoch", "val_balanced_accuracy", "seconds"]])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/runs/example")
