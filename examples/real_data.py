"""The main job on real images: nine methods on a frozen encoder, on three kinds of medical images.

Run it with `make demo-real`, or `python examples/real_data.py [--accept-licences]`. HAM10000, PBC
and Chula RBC-12 are taken from the folder of data sets (`$LMD_BENCH_DATA`, else `../shared/data`).
With `--accept-licences` those that are not there are fetched, where they can be; what is left out
is said. The encoder, EfficientNet-Lite0, comes with the package `lmd-bench[pretrained]`, so the
network is not needed for it.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import lmd_bench as lb

DATA_SETS = ("ham10000", "pbc", "chula_rbc12")
METHODS = "cross_entropy,logit_adjustment,crt,tau_norm,vfc,ladc,lda,logistic_regression,knn"
SEARCH = (
    *("--method", METHODS, "--imbalance-factor", "50", "--n-max", "400", "--image-size", "128"),
    *("--set", "training.backbone=efficientnet_lite0", "--set", "training.tune=frozen"),
    *("--set", "training.features=penultimate"),
    *("--trials", "4", "--confirm-seeds", "3"),
)


def lmd_bench(*words: str) -> int:
    """Run a command as a person would type it; return its exit code."""
    print(f"$ lmd-bench {' '.join(words)}", flush=True)
    return subprocess.run([sys.executable, "-m", "lmd_bench", *words], check=False).returncode


def place(name: str, data: Path) -> Path | None:
    """Return the folder of a data set, under its name or another that it goes by."""
    aliases = lb.list_datasets().set_index("name").loc[name, "aliases"]
    folders = [data / other for other in (name, *str(aliases).split(", ")) if other]
    return next((folder for folder in folders if folder.is_dir()), None)


def main() -> int:
    """Search on each data set that is here; show their leaderboards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accept-licences", action="store_true", help="fetch what is not here")
    parser.add_argument("--results", default="results/real")
    options = parser.parse_args()
    data = Path(os.environ.get("LMD_BENCH_DATA") or "../shared/data").resolve()
    left_out: list[str] = []
    for name in DATA_SETS:
        folder = place(name, data)
        if folder is None and options.accept_licences:
            lmd_bench("download", name, "--data-root", str(data / name), "--accept-licence")
            folder = place(name, data)
        if folder is None:
            left_out.append(
                f"{name} was left out: {data} does not hold it; `lmd-bench datasets {name}` says "
                "how to get it, and LMD_BENCH_DATA names the folder of data sets."
            )
            continue
        where = ("--dataset", name, "--data-root", str(folder), "--results", options.results)
        if lmd_bench("search", *where, *SEARCH) != 0:
            left_out.append(f"{name} was left out: its search ended with the error above.")
    if len(left_out) < len(DATA_SETS):
        lmd_bench("leaderboard", "--results", options.results)
    print("\n".join(left_out), file=sys.stderr)
    return 1 if len(left_out) == len(DATA_SETS) else 0


if __name__ == "__main__":
    sys.exit(main())
