"""Best-so-far curves of studies as a frame."""

from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tuning import curve_frame


def test_the_frame_has_a_line_for_each_point_of_each_study(study) -> None:
    rows = study("crt", [0.3, 0.5, None]) + study("lmd", [0.2])

    frame = curve_frame(group_studies(rows), RULE)

    assert frame.groupby("label").size().to_dict() == {"crt": 3, "lmd": 1}
    last = frame[frame["label"] == "crt"].iloc[-1]
    assert (last["spent"], last["mean"], last["found"]) == (3, 0.5, 1)
    assert curve_frame(group_studies(rows), RULE, "gpu_hours").empty
    assert len(curve_frame(group_studies(rows), RULE, "hours")) == 100


def test_the_curve_of_two_stages_begins_after_the_search_of_its_stage_1(study) -> None:
    base = [row | {"encoder_key": f"e{n}"} for n, row in enumerate(study("ce", [0.2, 0.3]))]
    stage2 = {"calibration": "crt", "encoder_key": "e1", "encoder_rank": 1}
    rows = base + [row | stage2 for row in study("crt", [0.4, 0.5])]

    frame = curve_frame(group_studies(rows), RULE)

    assert frame[frame["label"] == "crt"]["spent"].tolist() == [3.0, 4.0]
