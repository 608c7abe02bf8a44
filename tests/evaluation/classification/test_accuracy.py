from __future__ import annotations

import pickle

import numpy as np
import pytest

from detres.evaluation.classification.accuracy import CONFUSIONS, AccuracyEvaluator, best_labels


def random_case(images: int, classes: int, seed: int = 0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, labels and probabilities with many ties."""
    random = np.random.default_rng(seed)
    probabilities = random.integers(0, 6, (images, classes)).astype(np.float32) / 8
    return [f"i{n}" for n in range(images)], random.integers(0, classes, images), probabilities


def brute_force(labels: np.ndarray, probabilities: np.ndarray, count: int) -> list[bool]:
    """Whether each label is missed: as many or more stand before it as there is room for."""
    missed = []
    for label, row in zip(labels, probabilities, strict=True):
        before = sum(p > row[label] or (p == row[label] and other < label) for other, p in enumerate(row))
        missed.append(before >= count)
    return missed


@pytest.mark.parametrize("classes", [2, 3, 5, 8, 40])
def test_errors_are_those_of_a_count_by_hand(classes: int) -> None:
    ids, labels, probabilities = random_case(60, classes)
    evaluator = AccuracyEvaluator([f"c{k}" for k in range(classes)], ids, labels)
    for start in range(0, 60, 7):
        evaluator.add(ids[start : start + 7], probabilities[start : start + 7])
    metrics = evaluator.summarize()
    missed1, missed5 = (np.array(brute_force(labels, probabilities, n)) for n in (1, min(5, classes)))
    assert metrics["top1_error"] == missed1.mean()
    assert metrics["top5_error"] == missed5.mean()
    assert metrics["images"] == 60
    for k in range(classes):
        row, shown = metrics["per_class"][f"c{k}"], labels == k
        assert row["images"] == shown.sum()
        if shown.any():
            assert row["top1_error"] == pytest.approx(missed1[shown].mean())
            assert row["top5_error"] == pytest.approx(missed5[shown].mean())
        else:
            assert row["top1_error"] is row["top5_error"] is None
    pairs = metrics["confusions"]
    assert [pair["count"] for pair in pairs] == sorted((pair["count"] for pair in pairs), reverse=True)
    for pair in pairs:
        label, other = int(pair["label"][1:]), int(pair["taken_for"][1:])
        count = ((probabilities.argmax(axis=1) == other) & (labels == label)).sum()
        assert (pair["count"], pair["share"]) == (count, count / (labels == label).sum())
    if len(pairs) < CONFUSIONS:
        assert sum(pair["count"] for pair in pairs) == missed1.sum()


def test_a_case_by_hand() -> None:
    evaluator = AccuracyEvaluator(("cat", "dog", "eel"), ["a", "b", "c", "d"], [0, 0, 2, 1])
    evaluator.add(["a", "b", "c", "d"], [[0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.0, 1.0, 0.0]])
    metrics = evaluator.summarize()
    assert (metrics["top1_error"], metrics["top5_error"]) == (0.75, 0.0)
    assert metrics["confusions"] == [
        {"label": "cat", "taken_for": "dog", "count": 2, "share": 1.0},
        {"label": "eel", "taken_for": "dog", "count": 1, "share": 1.0},
    ]
    first, *_ = evaluator.rankings()
    assert (first.image_id, first.labels) == ("a", (1, 0, 2))
    assert first.probabilities == pytest.approx((0.7, 0.2, 0.1))


def test_among_equals_the_lower_label_comes_first() -> None:
    assert best_labels(np.array([[0.1, 0.3, 0.3, 0.3], [0.25] * 4]), 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert best_labels(np.zeros((0, 4)), 3).shape == (0, 3)


def test_ranks_add_up_whatever_their_shares() -> None:
    ids, labels, probabilities = random_case(20, 6)
    names = [f"c{k}" for k in range(6)]
    whole = AccuracyEvaluator(names, ids, labels)
    whole.add(ids[:19], probabilities[:19])
    whole.leave_out(ids[19:])
    main = AccuracyEvaluator(names, ids, labels)
    for rank in range(3):
        other = AccuracyEvaluator(names, ids, labels)
        mine = range(rank, 20, 3)
        for i in mine:
            if i == 19:
                other.leave_out([ids[i]])
            else:
                other.add([ids[i]], probabilities[i : i + 1])
        assert len(other) == len(mine)
        main.merge(pickle.loads(pickle.dumps(other.state())))
    assert main.summarize() == whole.summarize()
    assert list(main.rankings()) == list(whole.rankings())


def test_what_was_left_out_or_has_no_label_counts_in_no_figure() -> None:
    evaluator = AccuracyEvaluator(("cat", "dog"), ["a", "b", "c"], [0, -1, 1])
    evaluator.add(["a", "b"], [[0.9, 0.1], [0.2, 0.8]])
    with pytest.raises(ValueError, match=r"1 of 3 images were neither added nor left out \('c'\)"):
        evaluator.summarize()
    evaluator.leave_out(["c"])
    metrics = evaluator.summarize()
    assert (metrics["images"], metrics["top1_error"], metrics["top5_error"]) == (1, 0.0, 0.0)
    assert [ranking.labels for ranking in evaluator.rankings()] == [(0, 1), (1, 0), ()]


def test_an_empty_set_has_no_error() -> None:
    metrics = AccuracyEvaluator(("cat", "dog"), [], []).summarize()
    assert metrics["top1_error"] is metrics["top5_error"] is None
    assert (metrics["images"], metrics["confusions"]) == (0, [])
    assert metrics["per_class"]["cat"] == {"images": 0, "top1_error": None, "top5_error": None}


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="labels 0 to 2 of 2 classes"):
        AccuracyEvaluator(("cat", "dog"), ["a", "b"], [0, 2])
    with pytest.raises(ValueError, match="2 ids, 1 of them different"):
        AccuracyEvaluator(("cat",), ["a", "a"], [0, 0])
    with pytest.raises(ValueError, match="no classes"):
        AccuracyEvaluator((), [], [])
    evaluator = AccuracyEvaluator(("cat", "dog"), ["a"], [0])
    with pytest.raises(ValueError, match="'b' is not in the set"):
        evaluator.add(["b"], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="image 'a' are not finite"):
        evaluator.add(["a"], [[float("nan"), 0.5]])
    with pytest.raises(ValueError, match=r"\(1, 3\), not \(1, 2\)"):
        evaluator.add(["a"], [[0.1, 0.2, 0.7]])
