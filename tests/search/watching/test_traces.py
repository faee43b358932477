"""Plans and signs of life: written, read, left alone where they cannot be read."""

from lmd_bench.core.schema import Progress
from lmd_bench.search.watching import traces
from lmd_bench.search.watching.traces import (
    Heartbeat,
    PlannedStudy,
    SearchTrace,
    read_searches,
    read_signs,
    write_search,
)

STUDY = PlannedStudy("task/crt/10ep", "crt", "task", trials=4, confirmations=2)


def test_a_plan_comes_back_and_the_same_search_keeps_one(tmp_path):
    for at in (1.0, 2.0):
        write_search(tmp_path, SearchTrace("lmd-bench search", at, 2, (STUDY,)))
    other = PlannedStudy("task/lws/10ep", "lws", "task", trials=4, confirmations=2)
    write_search(tmp_path, SearchTrace("lmd-bench search", 0.5, 2, (other,)))
    assert [trace.studies for trace in read_searches(tmp_path)] == [(other,), (STUDY,)]
    assert read_searches(tmp_path)[1].started_at == 2.0


def test_a_trial_gives_signs_until_it_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(traces, "SECONDS", 0.0)
    heartbeat = Heartbeat(tmp_path, "k", STUDY.id, "crt #0")
    assert [(sign.name, sign.epoch) for sign in read_signs(tmp_path)] == [("crt #0", 0)]
    heartbeat(Progress("calibration", 3, 10, 0.5, 0.4))
    (sign,) = read_signs(tmp_path)
    assert (sign.stage, sign.epoch, sign.n_epochs, sign.loss) == ("calibration", 3, 10, 0.5)
    heartbeat.close()
    assert read_signs(tmp_path) == []


def test_signs_are_rare(tmp_path):
    heartbeat = Heartbeat(tmp_path, "k", STUDY.id, "crt #0")
    heartbeat(Progress("calibration", 3, 10, 0.5, 0.4))
    assert read_signs(tmp_path)[0].epoch == 0


def test_files_that_cannot_be_read_are_left_out(tmp_path):
    write_search(tmp_path, SearchTrace("lmd-bench search", 1.0, 2, (STUDY,)))
    for folder in ("searches", "running"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "half.json").write_text('{"command": ')
        (tmp_path / folder / "other.json").write_text('{"studies": [], "unknown": 1}')
    assert len(read_searches(tmp_path)) == 1
    assert read_signs(tmp_path) == []


def test_a_full_disk_does_not_end_a_trial(tmp_path):
    (tmp_path / "running").write_text("a file where the folder should be")
    heartbeat = Heartbeat(tmp_path, "k", STUDY.id, "crt #0")
    heartbeat(Progress("calibration", 1, 2, 0.5, 0.4))
    heartbeat.close()
