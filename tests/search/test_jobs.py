import json

from memory_search import MemoryStore, queue_of

from lmd_bench.core.schema import DataSource, TableColumns
from lmd_bench.search.jobs import from_payload, ranked


def test_a_job_comes_back_from_its_text_with_the_same_key(ask, tmp_path):
    columns = TableColumns(tmp_path / "images.csv", "file", "diagnosis")
    source = DataSource(tmp_path, allow_missing=True, split_dir=tmp_path, columns=columns)
    job = queue_of(ask("lmd", results=tmp_path, source=source), MemoryStore()).next()
    assert from_payload(json.loads(json.dumps(job.to_payload()))) == job


def test_rows_are_ranked_by_value_then_by_trial_number():
    rows = [
        {"status": "ok", "val_balanced_accuracy": value, "trial_number": number}
        for number, value in ((2, 0.5), (0, 0.3), (1, 0.5))
    ]
    rows.append({"status": "error", "val_balanced_accuracy": None, "trial_number": 3})
    assert [row["trial_number"] for row in ranked(rows)] == [1, 2, 0]
