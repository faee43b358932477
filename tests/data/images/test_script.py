"""A person's plain script, which guards nothing with `__main__`, prepares images."""

import os
import subprocess
import sys

SCRIPT = """
from lmd_bench.core.schema import DataSource
from lmd_bench.data.build import build_tasks, task_specs

print("started")
specs = task_specs(["synthetic"], [50.0], "balanced", 0, 16, None)
print(*(fingerprint for _, fingerprint in build_tasks(specs, DataSource())))
"""


def test_a_script_without_a_main_guard_prepares_images_once(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(SCRIPT)
    environment = os.environ | {
        "LMD_BENCH_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    # A script that is imported by its own workers waits for ever; whole, it takes seconds.
    run = subprocess.run(
        [sys.executable, script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    started, fingerprint = run.stdout.split()
    assert started == "started"
    assert len(fingerprint) > 8
