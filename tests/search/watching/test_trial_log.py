from pathlib import Path

from lmd_bench.core.schema import Progress
from lmd_bench.search.watching.traces import TrialLog


def test_a_log_holds_the_start_each_epoch_and_the_end(tmp_path):
    log = TrialLog(tmp_path, "abc")
    log.say("crt #0 begins")
    log(Progress("representation", 1, 2, 0.6931, 0.25))
    log.ended({"status": "oom", "cause": "out of memory", "seconds": 3.21})
    lines = (tmp_path / "logs" / "trials" / "abc.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "crt #0 begins",
        "representation epoch 1/2: loss 0.6931, val balanced accuracy 0.2500",
        "oom, out of memory, after 3.2 s",
    ]
    assert all(line[10] == "T" and "+00:00 " in line for line in lines)


def test_epochs_of_a_moment_are_written_at_one_go(tmp_path, monkeypatch):
    opened = []
    real = Path.open

    def noted(self, *arguments, **options):
        opened.append(self.name)
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", noted)
    log = TrialLog(tmp_path, "abc")
    for epoch in range(1, 101):
        log(Progress("calibration", epoch, 100, 0.5, 0.25))
    log.ended({"status": "ok", "cause": "", "seconds": 1.0})
    assert len(opened) < 10
    lines = (tmp_path / "logs" / "trials" / "abc.log").read_text().splitlines()
    assert len(lines) == 101
    assert "epoch 100/100" in lines[99]


def test_a_disk_that_refuses_the_log_ends_nothing(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder would be")
    TrialLog(tmp_path, "abc").say("nobody hears this")
