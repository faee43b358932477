"""`--config`: the command line, a file and Python ask for the same, of one dataclass."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from typer.testing import CliRunner

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.option_files import options_text, plain_options
from lmd_bench.core.options import from_keywords
from lmd_bench.core.schema import content_hash
from lmd_bench.search.from_python import read_search
from lmd_bench.search.options import SearchOptions
from lmd_bench.search.staging import study_specs

COMMANDS: Any = typer.main.get_command(app)
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "config.schema.json").read_text())
# Option -> its values in Python; what a person may leave out is left out at random.
CHOICES: dict[str, list[Any]] = {
    "dataset": [["synthetic"], ["synthetic", "ham10000"]],
    "method": [["crt"], ["lmd", "crt"], ["logit_adjustment,crt"]],
    "imbalance_factor": [["20"], ["10", "natural"], ["100,50"]],
    "settings": [["training.batch_size=32"], ["training.lr=0.05", "training.pretrained=false"]],
    "seed": [0, 3],
    "search_seeds": ["0:2", "4,7", "3"],
    "results": [Path("results/one"), Path("a folder/b")],
    "image_size": [16, 32],
    "protocol": ["balanced", "natural", "balanced_v1"],
    "split_seed": [0, 5],
    "n_max": [40, 100],
    "data_root": [Path("/data/x")],
    "allow_missing": [True],
    "rare_classes": ["merge", "drop"],
    "trials": [1, 12],
    "epochs": [1, 30],
    "sampler": ["random", "gp"],
    "pruner": ["none", "median"],
    "objectives": ["balanced_accuracy", "macro_f1"],
    "joint": [True],
    "deterministic": [True],
    "top_k": [1, 5],
    "range": [["training.lr=0.01:0.1"], ["training.weight_decay=0.0001:0.001"]],
    "confirm_seeds": [0, 1, 7],
    "max_concurrent": [2],
    "gpus_per_trial": ["auto", "0.5"],
    "trial_timeout": [1.5, 20.0],
    "points": [Path("portfolio"), Path("none")],
    "prior": [True],
    "mirror": ["sftp://host/folder"],
}


def random_options(draw: random.Random) -> dict[str, Any]:
    chosen = {name: draw.choice(values) for name, values in CHOICES.items() if draw.random() < 0.4}
    chosen.setdefault("dataset", ["synthetic"])
    if "search_seeds" in chosen:
        chosen.pop("seed", None)
    if chosen.get("deterministic"):
        chosen.pop("trial_timeout", None)
    return chosen


def typed(options: dict[str, Any]) -> list[str]:
    """Return the options as a person types them."""
    words: list[str] = []
    for name, value in options.items():
        flag = "--set" if name == "settings" else f"--{name.replace('_', '-')}"
        for single in value if isinstance(value, list) else [value]:
            words += [flag] if single is True else [flag, str(single)]
    return words


def written(options: dict[str, Any], draw: random.Random) -> str:
    """Return the options as a person writes them in a file, in one of the ways that there are."""
    data: dict[str, Any] = {}
    for name, value in options.items():
        plain = str(value) if isinstance(value, Path) else value
        if name == "settings" and draw.random() < 0.5:
            name, pairs = "set", [text.split("=") for text in value]
            plain = {key: json.loads(of) for key, of in pairs}
        elif isinstance(value, list) and len(value) == 1 and draw.random() < 0.5:
            plain = value[0]
        data[name.replace("_", "-") if draw.random() < 0.5 else name] = plain
    return options_text(data, "A study")


def by_command_line(words: list[str], monkeypatch: pytest.MonkeyPatch) -> SearchOptions:
    """Return the options that `lmd-bench search` makes of what was typed."""

    class Reached(Exception):
        pass

    def reached(options: SearchOptions, **_: Any) -> None:
        raise Reached(options)

    monkeypatch.setattr(SearchOptions, "request", reached)
    with (
        pytest.raises(Reached) as seen,
        COMMANDS.commands["search"].make_context("search", words) as context,
    ):
        context.command.invoke(context)
    monkeypatch.undo()
    return seen.value.args[0]


def keys(options: SearchOptions) -> list[str]:
    """Return the keys of all first trials, and how each study goes on from there."""
    names = [
        [study.trial(study.default).key, study.id, study.n_trials, study.sampler_seed]
        for request in options.by_seed(options.request())
        for study in study_specs(request)
    ]
    return [content_hash(name) for name in names]


@pytest.fixture
def without_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tasks of their specs alone."""

    def tasks(specs, source, progress=None):
        return tuple((spec, content_hash([vars(spec), source.to_payload()])) for spec in specs)

    monkeypatch.setattr("lmd_bench.data.build.build_tasks", tasks)
    monkeypatch.setattr("lmd_bench.search.options._check_groups", lambda *_: None)


def test_command_line_file_and_python_give_equal_keys(tmp_path, without_images):
    draw, file = random.Random(26), tmp_path / "study.yaml"
    n_studies = 0
    for number in range(500):
        asked = random_options(draw)
        file.write_text(written(asked, draw))
        with pytest.MonkeyPatch.context() as patch:
            line = by_command_line(typed(asked), patch)
            config = by_command_line(["--config", str(file)], patch)
        python = from_keywords(SearchOptions, asked)
        assert line == config == python == read_search(file), asked
        # What a search leaves asks for the same again, wherever it is read.
        left = tmp_path / "left.yaml"
        left.write_text(options_text(plain_options(python), "left"))
        # Keys follow from the options alone, which are equal; they take time to make.
        if number % 100 == 0:
            jsonschema.validate(plain_options(python), SCHEMA)
            expected = keys(python)
            assert keys(line) == keys(config) == keys(read_search(left)) == expected
            n_studies += len(expected)
    assert n_studies > 5


def test_each_repeat_leaves_a_file_of_its_own_seed(tmp_path, without_images):
    asked = from_keywords(SearchOptions, {"dataset": ["synthetic"], "search_seeds": "3:5"})
    requests = asked.by_seed(asked.request())
    assert [request.asked["seed"] for request in requests] == [3, 4]
    for request in requests:
        file = tmp_path / "one.yaml"
        file.write_text(options_text(request.asked, "one"))
        again = read_search(file)
        assert again.search_seeds is None
        assert [s.id for s in study_specs(again.request())] == [s.id for s in study_specs(request)]


def test_what_is_typed_stands_above_the_file(tmp_path, monkeypatch):
    file = tmp_path / "a.yaml"
    file.write_text("dataset: synthetic\nmethod: [crt, lmd]\ntrials: 4\nepochs: 3\n")
    words = ["--config", str(file), "--trials", "9", "--method", "focal"]
    options = by_command_line(words, monkeypatch)
    assert (options.budget.trials, options.method, options.budget.epochs) == (9, ["focal"], 3)
    assert read_search(file, {"trials": 2}).budget.trials == 2


def test_a_path_may_name_a_variable(tmp_path, monkeypatch):
    file = tmp_path / "a.yaml"
    file.write_text("dataset: synthetic\nresults: ${WHERE}/runs\n")
    monkeypatch.setenv("WHERE", "/there")
    assert read_search(file).results == Path("/there/runs")
    monkeypatch.delenv("WHERE")
    with pytest.raises(UserError, match=r"names \$\{WHERE\}, which is not set"):
        read_search(file)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("trails: 3", r"Unknown option in .*'trails'.*Did you mean 'trials'\?"),
        ("trials: many", 'Option trials in .* is "many", and takes a whole number'),
        ("trials: true", "Option trials in .* is true, and takes a whole number"),
        ("trials: [3]", r"Option trials in .* is \[3\], and takes a whole number"),
        ("joint: 1", "Option joint in .* is 1, and takes true or false"),
        ("epochs: 0", "Option epochs in .* is 0, and takes a number of at least 1"),
        ("sampler: best", 'Option sampler in .* is "best"; choose from tpe, random'),
        ("results: 3", "Option results in .* is 3, and takes a path"),
        ("set: {training.lr: [1, 2]}", "give each setting one value"),
        ("set: [a=1]\nsettings: [b=2]", "Option settings comes twice"),
        ("method: {lmd: crt}", 'Option method in .* is {"lmd": "crt"}, and takes a text'),
        ("trials: !!int 3", "it has a tag"),
        ("trials: 3\ntrials: 4", "'trials' comes twice"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(tmp_path, line: str, sentence: str):
    file = tmp_path / "a.yaml"
    file.write_text(f"dataset: synthetic\n{line}\n")
    with pytest.raises(UserError, match=sentence) as refusal:
        COMMANDS.commands["search"].make_context("search", ["--config", str(file)])
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match=sentence):
        read_search(file)


def test_a_file_that_lacks_what_has_to_be_given_says_so(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("trials: 3\n")
    with pytest.raises(UserError, match=r"has no dataset; add it\."):
        read_search(file)
    file.write_text("- trials\n")
    with pytest.raises(UserError, match="is no mapping"):
        read_search(file)


def test_every_command_takes_a_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(f"results: {tmp_path / 'none'}\nformat: csv\n")
    result = CliRunner().invoke(app, ["leaderboard", "--config", str(file)])
    assert isinstance(result.exception, UserError)
    assert str(tmp_path / "none") in str(result.exception)
    for name, command in COMMANDS.commands.items():
        assert "config" in {parameter.name for parameter in command.params}, name


def test_a_file_may_name_plugins(tmp_path, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_PLUGINS", "")
    file = tmp_path / "a.yaml"
    file.write_text(f"dataset: synthetic\nplugin: {tmp_path / 'none.py'}\n")
    with pytest.raises(UserError, match=r"There is no plug-in .*none\.py"):
        read_search(file)
