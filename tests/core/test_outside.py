"""Plug-ins from outside the package: found without an import, told apart by their content."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from lmd_bench.core import outside, plugins
from lmd_bench.core.errors import UserError

METHOD = '''"""Keeps the head.

Paper: none.
URL: https://example.org
"""

from dataclasses import dataclass

from lmd_bench.methods.calibration import Calibrated, Calibration, Stage1

VERSION = 2


@dataclass(frozen=True)
class Config:
    strength: float = 0.5


class Mine(Calibration):
    def fit(self, stage1: Stage1) -> Calibrated:
        return Calibrated(stage1.model)
'''
SPACE = "strength: {type: float, low: 0.0, high: 1.0}\n"


def write(folder, name="mine", source=METHOD, space=SPACE):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    if space is not None:
        (folder / f"{name}.yaml").write_text(space)
    return folder / f"{name}.py"


def test_a_file_is_a_plugin_of_the_kind_that_its_class_is_of(tmp_path):
    file = write(tmp_path)
    outside.add([file])
    assert "mine" in plugins.names("calibration")
    assert "mine" not in plugins.names("representation")
    assert plugins.card("calibration", "mine").startswith("Keeps the head.")
    assert plugins.plugin_class("calibration", "mine").__name__ == "Mine"
    assert plugins.space("calibration", "mine")["strength"]["high"] == 1.0


@pytest.mark.parametrize(
    "imports",
    [
        "from lmd_bench.methods.calibration._base import Calibration as Base",
        "import lmd_bench.methods.calibration._base as base\nBase = None",
        "from lmd_bench.methods import calibration",
    ],
)
def test_the_kind_follows_from_where_the_base_comes_from_however_it_is_imported(tmp_path, imports):
    base = {"Base": "Base", "base": "base.Calibration", "calibration": "calibration.Calibration"}[
        imports.splitlines()[0].split()[-1]
    ]
    write(tmp_path, source=f"{imports}\nclass Mine({base}): ...\n")
    outside.add([tmp_path])
    assert outside.outside()[0].kind == "calibration"


def test_all_files_of_a_folder_are_plugins_but_tests_and_helpers(tmp_path):
    for name in ("mine", "yours", "test_mine", "_helper", "conftest"):
        write(tmp_path, name)
    outside.add([tmp_path])
    assert [plugin.name for plugin in outside.outside()] == ["mine", "yours"]


def test_names_are_found_without_an_import(tmp_path):
    write(tmp_path, source=METHOD + "raise RuntimeError('imported')\n")
    code = (
        "import sys\nfrom lmd_bench.core import plugins\nassert 'mine' in "
        "plugins.names('calibration')\nassert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, outside.PLUGINS: str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_change_of_one_line_is_another_version(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", source=METHOD + "# changed\n")
    versions: list[int | str] = []
    for file in (first, second):
        os.environ[outside.PLUGINS] = str(file)
        versions.append(plugins.version("calibration", "mine"))
    assert versions[0] != versions[1]
    assert all(str(version).startswith("2+") for version in versions)


def test_versions_of_the_packages_own_plugins_are_numbers(tmp_path):
    outside.add([write(tmp_path)])
    assert plugins.version("calibration", "crt") == plugins.load("calibration", "crt").VERSION
    assert type(plugins.version("representation", "focal")) is int


def test_a_trial_of_another_file_or_of_none_is_refused(tmp_path):
    plugins.check_versions({"crt": 999})  # of the package: `reproduce` says that it differs
    with pytest.raises(UserError, match="'mine'.*not here; name its file with --plugin"):
        plugins.check_versions({"mine": "2+0123456789ab"})
    outside.add([write(tmp_path)])
    plugins.check_versions({"mine": plugins.version("calibration", "mine")})
    with pytest.raises(UserError, match=r"of version 2\+0123456789ab, and .*mine.py is version"):
        plugins.check_versions({"mine": "2+0123456789ab"})


def test_what_is_shipped_is_the_same_plugin_in_a_process_that_lacks_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    file = write(tmp_path / "here")
    outside.add([file])
    version = plugins.version("calibration", "mine")
    file.unlink()
    file.with_suffix(".yaml").unlink()
    shipped = outside.shipped()  # what was read, whatever became of the files
    outside.adopt(shipped)
    assert plugins.version("calibration", "mine") == version
    assert plugins.load("calibration", "mine").Config().strength == 0.5
    (plugin,) = outside.outside()
    assert plugin.path.is_relative_to(tmp_path / "cache")
    assert plugin.space == SPACE


def test_what_a_worker_adopts_takes_the_place_of_what_its_machine_has(tmp_path):
    outside.add([write(tmp_path)])
    outside.adopt([])
    assert outside.outside() == ()


def test_the_same_file_named_twice_is_one_plugin(tmp_path):
    file = write(tmp_path)
    outside.add([file])
    outside.add([tmp_path])
    assert len(outside.outside()) == 1


TWO = METHOD.replace("class Mine", "class Other(Calibration): ...\n\n\nclass Mine")
DATASET = "from lmd_bench.data.datasets import Dataset\nclass Both(Dataset): ...\n"


@pytest.mark.parametrize(
    ("name", "source", "space", "sentence"),
    [
        ("crt", METHOD, SPACE, "'crt' in .* has the name of a calibration of lmd-bench"),
        ("focal", METHOD, SPACE, "has the name of a representation of lmd-bench"),
        ("mine", METHOD.replace("(Calibration)", ""), SPACE, "one class whose base .* no such"),
        ("mine", METHOD + DATASET, SPACE, "has a class of each of calibration, datasets"),
        ("mine", "def broken(:\n", SPACE, "is not Python"),
        ("my-method", METHOD, SPACE, "is called 'my-method', and a name is of letters"),
        ("mine", METHOD + "raise RuntimeError('no luck')\n", SPACE, "fails on import .*no luck"),
        ("mine", "import nowhere_at_all\n" + METHOD, SPACE, "No module named 'nowhere_at_all'"),
        ("mine", TWO, SPACE, "one subclass of Calibration, and has Mine, Other"),
        ("mine", METHOD, None, "lacks strength; write a range"),
        ("mine", METHOD, SPACE + "more: {type: fixed}\n", "range for more, which Config"),
        ("mine", METHOD, "strength: 3\n", "has strength: 3"),
        ("mine", METHOD, "strength: {type: float, low: 0.0}\n", "is to be of lines such as"),
        ("mine", METHOD, "strength: [\n", "is not YAML"),
        ("mine", METHOD.replace("@dataclass(frozen=True)", ""), SPACE, "no dataclass Config"),
    ],
)
def test_a_bad_plugin_is_refused_in_one_sentence(tmp_path, name, source, space, sentence):
    file = write(tmp_path, name, source, space)

    def use():
        outside.add([file])
        plugins.load("calibration", name)

    with pytest.raises(UserError, match=sentence) as error:
        use()
    assert "\n" not in str(error.value)


def test_two_files_of_one_name_are_refused_and_neither_is_taken(tmp_path):
    both = [write(tmp_path / "a"), write(tmp_path / "b")]
    with pytest.raises(UserError, match=r"'mine' in .*b/mine.py has the name of .*a/mine.py"):
        outside.add(both)
    assert outside.outside() == ()


@pytest.mark.parametrize("place", ["nowhere.py", "empty", "note.txt"])
def test_a_place_without_a_plugin_is_refused(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(UserError, match=place):
        outside.add([tmp_path / place])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that declares one entry point."""
    write(tmp_path / "my_methods", "kept")
    (tmp_path / "my_methods" / "__init__.py").write_text("")
    info = tmp_path / "my_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-methods\nVersion: 1.0\n")
    lines = "[lmd_bench.calibration]\nmine = my_methods.kept\n"
    (info / "entry_points.txt").write_text(lines)
    monkeypatch.syspath_prepend(str(tmp_path))
    outside._outside.cache_clear()
    yield info / "entry_points.txt"
    outside._outside.cache_clear()
    for name in [name for name in sys.modules if name.startswith("my_methods")]:
        del sys.modules[name]


def test_an_entry_point_is_a_plugin_under_its_own_name(package):
    assert metadata.entry_points(group="lmd_bench.calibration").names == {"mine"}
    assert "mine" in plugins.names("calibration")
    assert "my_methods" not in sys.modules
    assert str(plugins.version("calibration", "mine")).startswith("2+")
    assert plugins.space("calibration", "mine").keys() == {"strength"}
    assert outside.shipped() == []  # it is installed where it runs


def test_an_entry_point_to_a_module_that_is_not_there_is_one_sentence(package):
    package.write_text("[lmd_bench.calibration]\nmine = my_methods.gone\n")
    with pytest.raises(UserError, match="the module my_methods.gone, which is not installed"):
        plugins.version("calibration", "mine")
