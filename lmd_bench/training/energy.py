"""What a trial takes of electricity, and the CO2 of that, where the machine tells.

CPUs: RAPL counts the joules of each package and its memory, for all that runs there. A trial gets
the part that its share of the machine's busy CPU time is. Often only root may read it.
GPU: NVML counts the joules of the whole GPU; a trial gets its share of it.
Else codecarbon, where it is installed and `$CODECARBON_COUNTRY_ISO_CODE` names a country.
CO2: joules times `$LMD_BENCH_CO2_GRAMS_PER_KWH`, or times what codecarbon takes for that country.

URL: https://www.kernel.org/doc/html/latest/power/powercap/powercap.html
"""

import ctypes
import os
import threading
import time
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from lmd_bench.core.errors import UserError

POWERCAP, CPU_TIMES = Path("/sys/class/powercap"), Path("/proc/stat")
INTENSITY, COUNTRY = "LMD_BENCH_CO2_GRAMS_PER_KWH", "CODECARBON_COUNTRY_ISO_CODE"
PER_KWH = 3.6e6  # joules
SECONDS = 60.0  # between two looks: at 200 W a counter begins anew after 20 minutes
_NVML = "libnvidia-ml.so.1"


class Meter:
    """Measures from when it is made until `columns` is called."""

    def __init__(self, device: torch.device, gpu_share: float) -> None:
        """Begin.

        Args:
            device: Where the trial runs.
            gpu_share: Share of one GPU that it holds; 0, not said, counts as all of it.

        Raises:
            UserError: `$LMD_BENCH_CO2_GRAMS_PER_KWH` is no number.
        """
        self._intensity = _intensity()
        self._packages = _Packages()
        self._gpu, self._gpu_share = _Gpu(device), min(gpu_share or 1.0, 1.0)
        self._gpu_before = self._gpu.joules()
        self._own, self._busy = time.process_time(), _busy_seconds()
        self._estimator = _estimator()

    def columns(self) -> dict[str, float | None]:
        """Return `energy_joules` and `co2_grams`; None where nothing tells them."""
        estimated, grams_per_joule = _estimate(self._estimator)
        parts: list[float] = []
        of_packages = self._packages.close()
        if of_packages is not None:
            parts.append(of_packages * self._share())
        after = self._gpu.joules()
        if after is not None and self._gpu_before is not None:
            parts.append((after - self._gpu_before) * self._gpu_share)
        joules = sum(parts) if parts else estimated
        if self._intensity is not None:
            grams_per_joule = self._intensity / PER_KWH
        grams = None
        if joules is not None and grams_per_joule is not None:
            grams = joules * grams_per_joule
        return {"energy_joules": joules, "co2_grams": grams}

    def _share(self) -> float:
        """Return which part of the machine's busy CPU time was this process's."""
        own, busy = time.process_time() - self._own, _busy_seconds()
        if busy is None or self._busy is None or busy <= self._busy:
            return 1.0
        return min(1.0, own / (busy - self._busy))


class _Packages:
    """The counters of RAPL, added up; a thread looks at them, as they begin anew when full."""

    def __init__(self) -> None:
        self._counters = {file: _number(file) for file in _counter_files()}
        self._ranges = {file: _number(file.with_name("max_energy_range_uj")) for file in self.files}
        self._joules = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="energy", daemon=True)
        if self.files:
            self._thread.start()

    @property
    def files(self) -> list[Path]:
        """Return the counters that may be read."""
        return [file for file, value in self._counters.items() if value is not None]

    def close(self) -> float | None:
        """Return the joules since the beginning; None where no counter may be read."""
        if not self.files:
            return None
        self._ended.set()
        self._thread.join()
        self._look()
        return self._joules

    def _look_on(self) -> None:
        while not self._ended.wait(SECONDS):
            self._look()

    def _look(self) -> None:
        for file in self.files:
            now, before = _number(file), self._counters[file]
            if now is not None and before is not None:
                micro = now - before if now >= before else now - before + (self._ranges[file] or 0)
                self._joules += max(0, micro) / 1e6
                self._counters[file] = now


class _Gpu:
    """The counter of a GPU, of all that it ever took."""

    def __init__(self, device: torch.device) -> None:
        self._library: Any = None
        self._handle = ctypes.c_void_p()
        if device.type != "cuda":
            return
        try:
            library = ctypes.CDLL(_NVML)
            name = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
        # No driver here, or a torch that does not tell the identifier.
        except (OSError, AttributeError):
            return
        if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(
            ctypes.c_char_p(name), ctypes.byref(self._handle)
        ):
            return
        self._library = library

    def joules(self) -> float | None:
        """Return what it has counted; None for older GPUs, parts of a GPU, and none."""
        counted = ctypes.c_ulonglong()
        if self._library is None or self._library.nvmlDeviceGetTotalEnergyConsumption(
            self._handle, ctypes.byref(counted)
        ):
            return None
        return counted.value / 1e3


def _counter_files() -> list[Path]:
    """Return the counters of packages, and of the memory that is not in one of them."""
    zones = POWERCAP.glob("intel-rapl:*") if POWERCAP.is_dir() else ()
    counted = ("package", "dram")
    named = ((zone, _text(zone / "name")) for zone in sorted(zones))
    return [zone / "energy_uj" for zone, name in named if name.startswith(counted)]


def _busy_seconds() -> float | None:
    """Return the seconds that all cores of the machine have worked; None where it is not told."""
    words = _text(CPU_TIMES).partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, words[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def _intensity() -> float | None:
    text = os.environ.get(INTENSITY)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{INTENSITY} is '{text}'; give a number of grams, such as 380.") from None


def _estimator() -> Any:
    country = os.environ.get(COUNTRY)
    if not country or find_spec("codecarbon") is None:
        return None
    try:
        estimator = import_module("codecarbon").OfflineEmissionsTracker(
            country_iso_code=country,
            tracking_mode="process",
            save_to_file=False,
            allow_multiple_runs=True,
            log_level="error",
        )
        estimator.start()
    # The border to a package that is not ours; no trial fails because its energy is not known.
    except Exception as error:
        warnings.warn(f"codecarbon does not start: {error}", stacklevel=2)
        return None
    return estimator


def _estimate(estimator: Any) -> tuple[float | None, float | None]:
    """Return the joules that codecarbon estimates, and its grams of CO2 for each joule."""
    if estimator is None:
        return None, None
    try:
        kilograms = estimator.stop()
        joules = PER_KWH * float(estimator.final_emissions_data.energy_consumed)
    # As where it is started.
    except Exception as error:
        warnings.warn(f"codecarbon does not tell what it measured: {error}", stacklevel=2)
        return None, None
    if not joules or kilograms is None:
        return joules or None, None
    return joules, 1e3 * float(kilograms) / joules


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
