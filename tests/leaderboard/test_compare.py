"""Two methods on the same images, by hand and over simulated leaderboards."""

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.compare import class_recall, compare
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.predictions import Judged, read_clusters, read_judged
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

    ((found,), unpaired) = compare(one, [two], RNG(0))

    # a: recalls 1, .5, .5, mean(1, .5); b: 1, mean(.5, 0), 0, .5
    assert found.balanced_accuracy.value == pytest.approx((0.25 + 0.5 + 0.25) / 4)
    assert found.groups["many"].value == pytest.approx(0.125)
    assert found.groups["medium"].value == pytest.approx(0.5)
    assert found.groups["few"].value == pytest.approx(0.25)
    # seed 5, b's second column: images 2, 4 and 7 against none; seed 6: 4 and 7 against 6
    assert found.seeds == (5, 6)
    assert (found.only_first, found.only_other) == (2.5, 0.5)
    per_seed = np.array([3 / 8, 1 / 8])
    half = 12.7062 * per_seed.std(ddof=1) / 2**0.5
    assert found.over_seeds.low == pytest.approx(0.25 - half, rel=1e-5)
    assert unpaired == []


def test_runs_of_other_seeds_are_no_pair() -> None:
    labels, right = np.arange(4), np.ones((4, 1))

    found, unpaired = compare(
        judged("a", labels, right, (1,)), [judged("b", labels, right, (2,))], RNG(0)
    )

    assert (found, unpaired) == ([], ["b"])


def test_swapping_the_methods_turns_the_sign() -> None:
    labels = np.repeat(np.arange(4), 20)
    one = judged("a", labels, RNG(1).uniform(size=(80, 2)) < 0.7, (1, 2))
    two = judged("b", labels, RNG(2).uniform(size=(80, 2)) < 0.5, (1, 2))

    ((ab,), _), ((ba,), _) = compare(one, [two], RNG(0)), compare(two, [one], RNG(0))

    assert ab.balanced_accuracy.value == pytest.approx(-ba.balanced_accuracy.value)
    assert ab.balanced_accuracy.interval.low == pytest.approx(-ba.balanced_accuracy.interval.high)
    assert (ab.p, ab.mcnemar_p, ab.detectable) == pytest.approx((ba.p, ba.mcnemar_p, ba.detectable))


def test_holm_is_over_the_methods_compared() -> None:
    labels = np.repeat(np.arange(4), 30)
    first = judged("a", labels, RNG(0).uniform(size=(120, 1)) < 0.7, (1,))
    others = [
        judged(name, labels, RNG(seed).uniform(size=(120, 1)) < 0.55, (1,))
        for seed, name in enumerate("bcd", start=1)
    ]

    found, _ = compare(first, others, RNG(0))

    lowest = min(found, key=lambda one: one.p)
    assert lowest.p_holm == pytest.approx(min(1.0, 3 * lowest.p))
    alone, _ = compare(first, others[:1], RNG(0))
    assert alone[0].p_holm == alone[0].p


def test_a_group_without_images_has_no_difference() -> None:
    labels = np.repeat([0, 1, 2], 10)
    one = judged("a", labels, RNG(1).uniform(size=(30, 1)) < 0.7, (1,))

    ((found,), _) = compare(one, [judged("b", labels, np.ones((30, 1)), (1,))], RNG(0))

    assert np.isnan(found.groups["few"].value)
    assert np.isnan(found.groups["few"].interval.low)
    assert not np.isnan(found.balanced_accuracy.value)
    assert np.isnan(class_recall(one, (1,))[0, 3])


@pytest.mark.slow  # its fast form is in test_simulations.py
def test_the_interval_of_a_difference_covers_the_true_one() -> None:
    """1,000 leaderboards: 4 classes of 40 images, two methods 10 points apart, 2 seeds each."""
    labels, generator = np.repeat(np.arange(4), 40), RNG(7)
    recall = np.array([0.8, 0.7, 0.5, 0.4])[labels][:, None]
    held = 0
    for _ in range(1000):
        # seeds of a method agree on the image's difficulty; the methods share it as well
        image, seeds = generator.uniform(size=(160, 1)), generator.uniform(size=(160, 4))
        level = np.where(generator.uniform(size=(160, 4)) < 0.5, image, seeds)
        right = level < recall + np.array([0.1, 0.1, 0.0, 0.0])
        one, two = (
            judged("a", labels, right[:, :2], (1, 2)),
            judged("b", labels, right[:, 2:], (1, 2)),
        )
        ((found,), _) = compare(one, [two], generator, n_resamples=400)
        interval = found.balanced_accuracy.interval
        held += interval.low <= 0.1 <= interval.high

    assert 0.93 <= held / 1000 <= 0.97


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
        compare(one, [two], RNG(0))


def test_lesions_are_read_from_a_csv(tmp_path) -> None:
    path = tmp_path / "lesions.csv"
    path.write_text("image_id,lesion_id\na,L1\nb,L1\nc,\n")

    clusters = read_clusters(path, "lesion_id", ("a", "b", "c", "d"))

    assert clusters[0] == clusters[1]
    assert len(set(clusters.tolist())) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,lesion_id\na,1\n", "has no column image_id"),
        ("image_id,lesion_id\nz,1\n", "names none"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, text: str, sentence: str) -> None:
    path = tmp_path / "lesions.csv"
    path.write_text(text)

    with pytest.raises(UserError, match=sentence):
        read_clusters(path, "lesion_id", ("a", "b"))
