import json
import subprocess
from pathlib import Path

import pytest

from lmd_bench.store import provenance


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set while a git hook runs
        monkeypatch.delenv(name, raising=False)
    for folder in ("package", "search_spaces", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("1")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


def test_commit_is_forty_hex_digits_in_a_clean_checkout(checkout: Path) -> None:
    commit = provenance.git_commit(checkout / "package")

    assert commit is not None
    assert len(commit) == 40
    assert int(commit, 16) >= 0


@pytest.mark.parametrize("changed", ["package/file", "package/new_plugin", "search_spaces/file"])
def test_commit_is_dirty_when_code_or_spaces_differ(checkout: Path, changed: str) -> None:
    (checkout / changed).write_text("2")

    commit = provenance.git_commit(checkout / "package")

    assert commit is not None
    assert commit.endswith("+dirty")


def test_commit_is_clean_when_other_files_differ(checkout: Path) -> None:
    (checkout / "docs" / "file").write_text("2")

    commit = provenance.git_commit(checkout / "package")

    assert commit is not None
    assert "dirty" not in commit


def test_a_package_inside_another_projects_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout / "venv" / "package"
    installed.mkdir(parents=True)

    assert provenance.git_commit(installed) is None


def test_a_folder_outside_any_checkout_has_no_commit(tmp_path: Path) -> None:
    assert provenance.git_commit(tmp_path) is None


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert provenance.git_commit(checkout / "package") is None


def test_library_versions_name_what_is_installed() -> None:
    found = provenance.provenance()

    assert {"numpy", "pyarrow"} <= set(json.loads(str(found["library_versions_json"])))
    assert found["package_version"]
