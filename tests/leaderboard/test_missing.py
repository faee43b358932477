import shlex

from lmd_bench.core.schema import TaskSpec
from lmd_bench.leaderboard.board import build

NATURAL = TaskSpec(dataset="toy", image_size=32, split_seed=3, n_max=50)


def test_a_search_that_nobody_confirmed_is_filled_by_confirm_where_there_are_seeds(study) -> None:
    rows = study("crt", [0.3, 0.5]) + study("lmd", [0.3], {0: [0.5]}) + study("rrl", [0.2])

    (note,) = build(rows, results=" --results here").notes

    assert note.startswith("searched, not confirmed: crt (2 trials), rrl (1 trial) on toy")
    keys = f"{rows[1]['key']} {rows[-1]['key']}"
    assert note.endswith(f"; lmd-bench confirm {keys} --results here fills it")


def test_and_by_its_own_search_where_there_are_none(study) -> None:
    (note,) = build(study("crt", [0.3, 0.5]) + study("lmd", [0.4])).notes

    # One sentence for all methods of a task: a search that runs has dozens.
    assert note.startswith("searched, not confirmed: crt (2 trials), lmd (1 trial) on toy")
    assert note.endswith("the search run to its end, with --confirm-seeds above 0, fills it")


def test_a_method_that_waits_in_several_searches_is_named_once(study) -> None:
    again = [row | {"study": f"{row['study']}/2"} for row in study("crt", [0.3, 0.5])]
    (note,) = build(study("crt", [0.3, 0.5]) + again + study("lmd", [0.4])).notes

    assert note.startswith("searched, not confirmed: 2 x crt (2 trials), lmd (1 trial) on toy")


def test_a_method_that_one_task_lacks_is_named_with_the_search_that_fills_it(study) -> None:
    rows = study("crt", [0.3], {0: [0.5]}) + study("lmd", [0.3], {0: [0.5, 0.6]})
    rows += study("crt", [0.3, 0.2], {0: [0.5, None]}, task=NATURAL)

    notes = build(rows, results=" --results 'my results'").notes
    (note,) = [note for note in notes if not note.startswith("the tuned configuration")]

    start, end = (
        "missing, never searched: lmd on ",
        ", with the other options of that task's search",
    )
    assert note.startswith(f"{start}toy · balanced · natural · n_max 50 · split 3 · 32 px")
    command = shlex.split(note.split("; ")[1].split(end)[0])
    assert command[:2] == ["lmd-bench", "search"]
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options == {
        **{"--dataset": "toy", "--protocol": "balanced_v1", "--imbalance-factor": "natural"},
        **{"--image-size": "32", "--split-seed": "3", "--n-max": "50", "--method": "lmd"},
        **{"--trials": "2", "--epochs": "8", "--confirm-seeds": "2", "--results": "my results"},
        "--budget": "per-study",
    }


def test_a_method_that_only_lends_its_encoders_elsewhere_is_not_missing(study) -> None:
    rows = study("crt", [0.3], {0: [0.5]}) + study("rrl", [0.3])
    rows += study("crt", [0.3], {0: [0.5]}, task=NATURAL)

    assert not any("never searched" in note for note in build(rows).notes)


def test_the_missing_search_has_the_budget_that_the_others_had(study) -> None:
    base = study("ce", [0.2, 0.3, 0.1, 0.2], {0: [0.5]})
    base = [row | {"encoder_key": f"e{n}"} for n, row in enumerate(base)]
    stage2 = {"calibration": "crt", "encoder_key": "e0", "encoder_rank": 1, "n_stage1_trials": 2}
    own = [row | stage2 for row in study("crt", [0.4, 0.2], {0: [0.6]})]
    rows = [*base, *own, *study("lmd", [0.3], {0: [0.5]}, task=NATURAL)]

    (note,) = [note for note in build(rows).notes if "never searched: lmd on" in note]

    assert "--trials 2 " in note
    assert "per-study" not in note
