import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.yaml_text import read_yaml, yaml_text


def read(tmp_path, text: str):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return read_yaml(path, "file")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:50", "10:50"),  # YAML 1.1: 650
        ("017", 17),  # 15
        ("no", "no"),  # false
        ("1e-3", 0.001),  # a text
        ("1_000", "1_000"),  # 1000
        ("true", True),
        ("none", "none"),
        ("", None),
        ("2026-11-27", "2026-11-27"),  # a date
    ],
)
def test_a_value_is_what_it_looks_like(tmp_path, text: str, value: object):
    assert read(tmp_path, f"a: {text}\n") == {"a": value}


@pytest.mark.parametrize("value", ["10:50", "1e3", "no", "true", "017", "~", "", "a: b", "é", 1.5])
def test_what_is_written_is_read_back(tmp_path, value: object):
    assert read(tmp_path, yaml_text({"a": [value]})) == {"a": [value]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "in line 2: 'a' comes twice"),
        ("a: !!python/name:os.system x\n", "in line 1: it has a tag"),
        ("a: !!str 3\n", "tags are not read"),
        ("a: [1\n", "in line 2"),
        ("[" * 5000, "is not YAML"),
        ("? [a]\n: 1\n", "unhashable"),
    ],
)
def test_what_may_be_misread_is_refused_in_one_sentence(tmp_path, text: str, problem: str):
    with pytest.raises(UserError, match=r"^The file .*is not YAML") as refusal:
        read(tmp_path, text)
    assert problem in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_told_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"The file .*b.yaml cannot be read \(No such.*\); look\."):
        read_yaml(tmp_path / "b.yaml", "file", "look")
