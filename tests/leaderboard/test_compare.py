"""Two methods on the same images, by hand and over simulated leaderboards."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.compare import class_recall, compare
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.predictions import Judged, read_judged, read_lesions
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.store.store import open_store

RNG = np.random.default_rng
GROUPS = ("many", "many", "medium", "few")


def judged(label: str, labels: np.ndarray, right: np.ndarray, seeds: tuple[int, ...]) -> Judged:
    ids = tuple(f"image{i:04}" for i in range(len(labels)))
    return Judged(label, seeds, ids, labels.astype(np.int64), right.astype(bool), GROUPS)


def test_a_difference_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    a = np.array([[1, 1, 1, 0, 1, 0, 1, 1], [1, 1, 1, 0, 1, 0, 0, 1]]).T  # two seeds
    b = np.array([[1, 1, 1, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0, 1, 0]]).T
    one, two = judged("a", labels, a, (5, 6)), judged("b", labels, b, (6, 5))

    ((found,), unpaired) = compare(one, [two])

    # a: recalls 1, .5, .5, mean(1, .5); b: 1, mean(.5, 0), 0, .5
    assert found.tested.value == pytest.approx((0.25 + 0.5 + 0.25) / 4)
    assert found.differences["many_recall"].value == pytest.approx(0.125)
    assert found.differences["medium_recall"].value == pytest.approx(0.5)
    assert found.differences["few_recall"].value == pytest.approx(0.25)
    # seed 5, b's second column: images 2, 4 and 7 against none; seed 6: 4 and 7 against 6
    assert found.seeds == (5, 6)
    assert (found.only_first, found.only_other) == (2.5, 0.5)
    per_seed = np.array([3 / 8, 1 / 8])
    half = 12.7062 * per_seed.std(ddof=1) / 2**0.5
    assert found.tested.seeds.low == pytest.approx(0.25 - half, rel=1e-5)
    assert unpaired == []


def test_runs_of_other_seeds_are_no_pair() -> None:
    labels, right = np.arange(4), np.ones((4, 1))

    found, unpaired = compare(judged("a", labels, right, (1,)), [judged("b", labels, right, (2,))])

    assert (found, unpaired) == ([], ["b"])


def test_swapping_the_methods_turns_the_sign() -> None:
    labels = np.repeat(np.arange(4), 20)
    one = judged("a", labels, RNG(1).uniform(size=(80, 2)) < 0.7, (1, 2))
    two = judged("b", labels, RNG(2).uniform(size=(80, 2)) < 0.5, (1, 2))

    ((ab,), _), ((ba,), _) = compare(one, [two]), compare(two, [one])

    assert ab.tested.value == pytest.approx(-ba.tested.value)
    assert ab.tested.interval.low == pytest.approx(-ba.tested.interval.high)
    assert (ab.tested.p, ab.mcnemar_p) == pytest.approx((ba.tested.p, ba.mcnemar_p))
    assert ab.detectable == pytest.approx(ba.detectable)


def test_holm_is_over_the_methods_compared() -> None:
    labels = np.repeat(np.arange(4), 30)
    first = judged("a", labels, RNG(0).uniform(size=(120, 2)) < 0.7, (1, 2))
    others = [
        judged(name, labels, RNG(seed).uniform(size=(120, 2)) < 0.6, (1, 2))
        for seed, name in enumerate("bcd", start=1)
    ]

    found, _ = compare(first, others)

    lowest = min(found, key=lambda pair: pair.tested.p)
    assert lowest.p_holm == pytest.approx(min(1.0, 3 * lowest.tested.p))
    assert lowest.n_tests == 3
    assert all(0 < pair.claim_is_false <= 0.5 for pair in found)
    ((alone,), _) = compare(first, others[:1])
    assert alone.p_holm == alone.tested.p
    assert found[0].detectable > alone.detectable  # at 5 % / 3, as the first step of Holm


def test_one_retraining_has_no_p_as_its_spread_is_not_known() -> None:
    labels = np.repeat(np.arange(4), 30)
    right = RNG(1).uniform(size=(120, 2)) < 0.6
    one, two = judged("a", labels, right[:, :1], (1,)), judged("b", labels, right[:, 1:], (1,))

    ((found,), _) = compare(one, [two])

    assert np.isnan(found.p_holm)
    assert np.isnan(found.tested.interval.low)
    assert not np.isnan(found.tested.images.low)


def test_a_group_without_images_has_no_difference() -> None:
    labels = np.repeat([0, 1, 2], 10)
    one = judged("a", labels, RNG(1).uniform(size=(30, 2)) < 0.7, (1, 2))

    ((found,), _) = compare(one, [judged("b", labels, np.ones((30, 2)), (1, 2))])

    assert np.isnan(found.differences["few_recall"].value)
    assert np.isnan(found.differences["few_recall"].interval.low)
    assert not np.isnan(found.tested.value)
    assert np.isnan(class_recall(one, (1,))[0, 3])


def test_any_metric_and_one_class_can_be_compared() -> None:
    """NLL is the mean of a number of each image, so its paired interval is known by hand."""
    labels = np.tile(np.arange(4), 30)
    logits = {name: RNG(seed).normal(size=(2, 120, 4)) for seed, name in enumerate("ab")}
    sides = [
        replace(
            judged(name, labels, (z.argmax(axis=2) == labels).T, (1, 2)),
            class_names=("p", "q", "r", "s"),
            logits=tuple(z),
        )
        for name, z in logits.items()
    ]

    ((found,), _) = compare(sides[0], sides[1:], None, ("nll",))
    ((of_class,), _) = compare(sides[0], sides[1:], None, ("recall:q",))

    each = {n: -log_softmax(z, axis=2)[:, np.arange(120), labels] for n, z in logits.items()}
    gained = (each["b"] - each["a"]).mean(axis=0)  # lower is better: above 0, a is
    assert found.metric == "nll"
    assert found.tested.value == pytest.approx(gained.mean())
    half = found.tested.images.high - found.tested.value
    assert half == pytest.approx(2.0 * gained.std(ddof=1) / 120**0.5, rel=0.2)
    in_class = [side.right[labels == 1].mean() for side in sides]
    assert of_class.tested.value == pytest.approx(in_class[0] - in_class[1])
    with pytest.raises(UserError, match="Unknown metric 'recall:z'"):
        compare(sides[0], sides[1:], None, ("recall:z",))
    # Of a score after temperature scaling there is the column of a row, and no logits.
    with pytest.raises(UserError, match="Unknown metric 'scaled_nll'"):
        compare(sides[0], sides[1:], None, ("scaled_nll",))


def _stored(tmp_path, study, shift: int = 0):
    store = open_store(tmp_path, create=True)
    rows = study("crt", [0.3], {0: [0.5, 0.6, None]})
    images = [("b", 1), ("a", 0), ("c", 2)]
    for row in rows:
        logits = [(f"{name}{shift}", "test", y, [0.0, 0.0, 1.0, 0.0]) for name, y in images]
        store.write(row, logits if row["phase"] == "confirm" and row["status"] == "ok" else ())
    return store, group_studies(rows)[0]


def test_what_was_right_is_read_from_the_logits_in_the_order_of_the_ids(tmp_path, study) -> None:
    found = read_judged(*_stored(tmp_path, study), RULE)

    assert found is not None
    assert found.image_ids == ("a0", "b0", "c0")
    assert found.labels.tolist() == [0, 1, 2]
    assert found.right.tolist() == [[False, False], [False, False], [True, True]]
    assert len(found.seeds) == 2  # the third run failed


def test_without_logits_nothing_can_be_compared(tmp_path, study) -> None:
    store = open_store(tmp_path, create=True)

    assert read_judged(store, group_studies(study("crt", [0.3], {0: [0.5]}))[0], RULE) is None


def test_other_images_are_refused(tmp_path, study) -> None:
    one = read_judged(*_stored(tmp_path / "a", study), RULE)
    two = read_judged(*_stored(tmp_path / "b", study, shift=1), RULE)
    assert one is not None
    assert two is not None

    with pytest.raises(UserError, match="crt and crt are of other test images"):
        compare(one, [two])


def test_lesions_are_read_from_a_csv(tmp_path) -> None:
    path = tmp_path / "lesions.csv"
    path.write_text("image_id;lesion_id\na;L1\nb;L1\nc;\n\nd;nan\n")

    lesions = read_lesions(path, "lesion_id", ("a", "b", "c", "d"))

    assert lesions[0] == lesions[1]
    assert len(set(lesions)) == 3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [(".", "is a folder, not a CSV file"), ("lesions.csv", "lesions.csv does not exist")],
)
def test_a_folder_in_place_of_a_file_is_called_a_folder(tmp_path, name, sentence) -> None:
    needs = "Give a CSV with the columns image_id and the one that --cluster-column names"
    with pytest.raises(UserError, match=rf"{sentence}\. {needs}\.$"):
        read_lesions(tmp_path / name, "lesion_id", ("a", "b"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,lesion_id\na,1\n", "lacks the column image_id; .* has image, lesion_id"),
        ("image_id,lesion_id\nz,1\n", "names none"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, text: str, sentence: str) -> None:
    path = tmp_path / "lesions.csv"
    path.write_text(text)

    with pytest.raises(UserError, match=sentence):
        read_lesions(path, "lesion_id", ("a", "b"))
