"""What a trial takes of electricity, by counters that a test writes."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from lmd_bench.core.errors import UserError
from lmd_bench.training import energy
from lmd_bench.training.energy import Meter

CPU = torch.device("cpu")


def write_zone(root, zone: str, name: str, micro: int, most: int = 1_000_000_000) -> None:
    folder = root / zone
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    (folder / "energy_uj").write_text(f"{micro}\n")


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Return the folder of counters of a machine without any, on which only this process works."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "powercap")
    monkeypatch.setattr(energy, "CPU_TIMES", tmp_path / "stat")
    for variable in (energy.INTENSITY, energy.COUNTRY):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "powercap"


def test_a_machine_that_tells_nothing_gives_nulls():
    assert Meter(CPU, 0.0).columns() == {"energy_joules": None, "co2_grams": None}


def test_packages_and_their_memory_are_added_and_parts_of_a_package_are_not(machine):
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core")):
        write_zone(machine, zone, name, 1_000_000)
    write_zone(machine, "intel-rapl:0:1", "dram", 0)
    write_zone(machine, "intel-rapl:1", "psys", 0)
    meter = Meter(CPU, 0.0)
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core")):
        write_zone(machine, zone, name, 6_000_000)
    write_zone(machine, "intel-rapl:0:1", "dram", 2_000_000)
    write_zone(machine, "intel-rapl:1", "psys", 90_000_000)
    assert meter.columns()["energy_joules"] == pytest.approx(5.0 + 2.0)


def test_a_counter_that_began_anew_goes_on(machine):
    write_zone(machine, "intel-rapl:0", "package-0", 9_000_000, most=10_000_000)
    meter = Meter(CPU, 0.0)
    write_zone(machine, "intel-rapl:0", "package-0", 1_000_000, most=10_000_000)
    assert meter.columns()["energy_joules"] == pytest.approx(2.0)


def test_a_counter_that_begins_anew_twice_is_looked_at_in_between(machine, monkeypatch):
    monkeypatch.setattr(energy, "SECONDS", 3600.0)
    write_zone(machine, "intel-rapl:0", "package-0", 0, most=10_000_000)
    meter = Meter(CPU, 0.0)
    for micro in (9_000_000, 5_000_000, 1_000_000):
        write_zone(machine, "intel-rapl:0", "package-0", micro, most=10_000_000)
        meter._packages._look()
    assert meter.columns()["energy_joules"] == pytest.approx(9.0 + 6.0 + 6.0)


def test_a_trial_gets_the_part_of_the_cpu_time_that_was_its_own(machine, tmp_path, monkeypatch):
    own = iter((10.0, 13.0))
    monkeypatch.setattr(energy.time, "process_time", lambda: next(own))
    monkeypatch.setattr(energy.os, "sysconf", lambda name: 100)
    write_zone(machine, "intel-rapl:0", "package-0", 0)
    (tmp_path / "stat").write_text("cpu  1000 0 0 77 7 0 0 0 0 0\n")
    meter = Meter(CPU, 0.0)
    write_zone(machine, "intel-rapl:0", "package-0", 100_000_000)
    # 12 s of work on all cores, of which this process did 3; idle time is nobody's.
    (tmp_path / "stat").write_text("cpu  1600 100 400 9999 999 50 50 0 0 0\n")
    assert meter.columns()["energy_joules"] == pytest.approx(100.0 * 3 / 12)


def test_counters_that_may_not_be_read_give_nulls(machine):
    (machine / "intel-rapl:0").mkdir(parents=True)
    (machine / "intel-rapl:0" / "name").write_text("package-0")
    assert Meter(CPU, 0.0).columns()["energy_joules"] is None


def test_a_gpu_is_charged_by_the_share_that_a_trial_holds(monkeypatch):
    counted = iter((1000.0, 1400.0))
    fake = SimpleNamespace(joules=lambda: next(counted))
    monkeypatch.setattr(energy, "_Gpu", lambda device: fake)
    assert Meter(torch.device("cuda"), 0.25).columns()["energy_joules"] == pytest.approx(100.0)


def test_co2_follows_from_the_grams_of_a_kilowatt_hour(machine, monkeypatch):
    monkeypatch.setenv(energy.INTENSITY, "400")
    write_zone(machine, "intel-rapl:0", "package-0", 0)
    meter = Meter(CPU, 0.0)
    write_zone(machine, "intel-rapl:0", "package-0", 900_000_000)  # 900 J = .25 Wh
    assert meter.columns()["co2_grams"] == pytest.approx(0.1)


def test_grams_that_are_no_number_are_one_sentence(monkeypatch):
    monkeypatch.setenv(energy.INTENSITY, "much")
    with pytest.raises(UserError, match="LMD_BENCH_CO2_GRAMS_PER_KWH is 'much'"):
        Meter(CPU, 0.0)


def test_codecarbon_estimates_where_nothing_counts(monkeypatch):
    asked = {}

    class OfflineEmissionsTracker:
        def __init__(self, **options):
            asked.update(options)
            self.final_emissions_data = SimpleNamespace(energy_consumed=0.001)

        def start(self): ...

        def stop(self):
            return 0.0005  # kg

    module = ModuleType("codecarbon")
    module.OfflineEmissionsTracker = OfflineEmissionsTracker
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    monkeypatch.setattr(energy, "find_spec", lambda name: module)
    monkeypatch.setenv(energy.COUNTRY, "FRA")
    columns = Meter(CPU, 0.0).columns()
    assert asked["country_iso_code"] == "FRA"
    assert columns == {"energy_joules": pytest.approx(3600.0), "co2_grams": pytest.approx(0.5)}
