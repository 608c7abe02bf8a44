import math
import random
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from detres.detection.model.suppression import suppress
from detres.detection.testing.fusion import View, VoteWeighting, fuse, soft_nms, vote_boxes, weighted_boxes_fusion
from detres.tables import FUSIONS

Box = list[float]
Row = tuple[Box, float, int]
"""box, score, label"""

NOTHING: View = (torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def view(*rows: Row) -> View:
    boxes = torch.tensor([row[0] for row in rows], dtype=torch.float64).reshape(-1, 4)
    scores = torch.tensor([row[1] for row in rows], dtype=torch.float64)
    return boxes, scores, torch.tensor([row[2] for row in rows], dtype=torch.int64)


def random_rows(seed: int, count: int, classes: int = 3) -> list[Row]:
    """Crowded boxes; scores in twentieths, so that many are equal, and 0 among them; every eighth is a duplicate."""
    dice = random.Random(seed)
    rows: list[Row] = []
    for i in range(count):
        if rows and i % 8 == 7:
            rows.append(dice.choice(rows))
            continue
        x, y = dice.uniform(0, 40), dice.uniform(0, 40)
        box = [x, y, x + dice.uniform(10, 40), y + dice.uniform(10, 40)]
        rows.append((box, dice.randint(0, 20) / 20, dice.randrange(classes)))
    return rows


def iou_of(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inside = max(width, 0) * max(height, 0)
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


def voted_by_loops(kept: list[Row], rows: list[Row], iou: float, weighting: str) -> list[Box]:
    voted = []
    for box, _, label in kept:
        total, sums = 0.0, [0.0] * 4
        for other, score, other_label in rows:
            overlap = iou_of(box, other)
            if other_label == label and overlap >= iou:
                weight = {"score": score, "uniform": 1.0, "iou": overlap * score}[weighting]
                total += weight
                sums = [s + weight * side for s, side in zip(sums, other, strict=True)]
        voted.append([s / total for s in sums] if total else box)
    return voted


def soft_nms_by_loops(rows: list[Row], method: str, iou: float, sigma: float, floor: float) -> list[tuple[int, float]]:
    """The algorithm of the paper's figure 2, for each class by itself."""
    found: list[tuple[int, float]] = []
    for label in {row[2] for row in rows}:
        scores = {i: row[1] for i, row in enumerate(rows) if row[2] == label}
        while scores:
            best = max(scores, key=lambda i: (scores[i], -i))
            found.append((best, scores.pop(best)))
            for i in scores:
                overlap = iou_of(rows[best][0], rows[i][0])
                if method == "gaussian":
                    scores[i] *= math.exp(-(overlap**2) / sigma)
                elif overlap >= iou:
                    scores[i] *= 1 - overlap
    return sorted((pair for pair in found if pair[1] >= floor), key=lambda pair: (-pair[1], pair[0]))


def wbf_by_loops(views: list[list[Row]], weights: list[float], iou: float, skip_below: float) -> list[Row]:
    """The six steps of the paper's section 3, every mean taken anew from all boxes of its cluster."""
    pooled = [(row, w) for rows, w in zip(views, weights, strict=True) for row in rows if row[1] >= skip_below]
    pooled.sort(key=lambda pair: -pair[0][1] * pair[1])
    clusters: list[list[tuple[Row, float]]] = []
    means: list[Box] = []
    for row, weight in pooled:
        overlaps = [iou_of(row[0], m) if c[0][0][2] == row[2] else 0.0 for m, c in zip(means, clusters, strict=True)]
        place = max(range(len(means)), key=lambda i: (overlaps[i], -i), default=0)
        if means and overlaps[place] > iou:
            clusters[place].append((row, weight))
            total = sum(r[1] * w for r, w in clusters[place])
            if total:
                means[place] = [sum(r[0][k] * r[1] * w for r, w in clusters[place]) / total for k in range(4)]
        else:
            clusters.append([(row, weight)])
            means.append(row[0])
    fused = []
    for mean, cluster in zip(means, clusters, strict=True):
        score = sum(r[1] * w for r, w in cluster) / sum(w for _, w in cluster)
        members, all_views = sum(w for _, w in cluster), sum(weights)
        fused.append((mean, score * min(members, all_views) / all_views, cluster[0][0][2]))
    return fused


def assert_same_rows(found: View, expected: list[Row]) -> None:
    """Best first; of equal scores, in any order."""
    boxes, scores, labels = (column.tolist() for column in found)
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(expected)

    def key(row: Row) -> tuple[Any, ...]:
        return row[2], [round(side, 8) for side in row[0]], round(row[1], 8)

    rows = sorted(zip(boxes, scores, labels, strict=True), key=key)
    for (box, score, label), wanted in zip(rows, sorted(expected, key=key), strict=True):
        assert label == wanted[2]
        assert [*box, score] == pytest.approx([*wanted[0], wanted[1]], abs=1e-10)


# Voting


def test_a_box_moves_to_the_score_weighted_mean_of_its_voters() -> None:
    kept = ([0.0, 0, 10, 10], 0.9, 0)
    voter = ([0.0, 0, 10, 13], 0.3, 0)  # overlaps by 10/13
    strangers = [([0.0, 0, 10, 12], 0.8, 1), ([0.0, 0, 10, 30], 0.8, 0)]  # another class; overlaps by a third
    boxes, scores, labels = view(kept, voter, *strangers)
    for weighting, y2 in (("score", 10.75), ("uniform", 11.5), ("iou", 10 + 3 * 3 / 13 / (9 + 3 * 10 / 13) * 10)):
        voted = vote_boxes(boxes[:1], labels[:1], boxes, scores, labels, weighting=weighting)
        assert voted[0].tolist() == pytest.approx([0, 0, 10, y2], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("weighting", get_args(VoteWeighting))
@pytest.mark.parametrize("count", [1, 9, 400])
def test_votes_equal_the_definition(weighting: VoteWeighting, count: int) -> None:
    rows = random_rows(count, count)
    boxes, scores, labels = view(*rows)
    kept = suppress(boxes, scores, labels, 0.9)  # over VOTED_AT_ONCE of them where there are 400
    for iou in (0.3, 0.5, 1.0):
        voted = vote_boxes(boxes[kept], labels[kept], boxes, scores, labels, iou=iou, weighting=weighting)
        expected = voted_by_loops([rows[i] for i in kept.tolist()], rows, iou, weighting)
        torch.testing.assert_close(voted, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)


def test_a_box_nobody_else_votes_for_stays_exactly() -> None:
    boxes = torch.tensor([[0.1, 0.2, 33.3, 44.4], [0.1, 0.2, 33.3, 44.4], [50.0, 50.0, 50.0, 60.0], [70.0, 0, 90, 9]])
    scores, labels = torch.tensor([0.7, 0.3, 0.9, 0.0]), torch.zeros(4, dtype=torch.int64)
    assert torch.equal(vote_boxes(boxes, labels, boxes, scores, labels), boxes)  # duplicates, no area, no weight
    assert vote_boxes(boxes[:0], labels[:0], boxes, scores, labels).shape == (0, 4)
    assert vote_boxes(*NOTHING[::2], *NOTHING).shape == (0, 4)


# Soft-NMS


def test_scores_sink_by_the_overlap() -> None:
    boxes, scores, labels = view(
        ([0.0, 0, 10, 10], 0.8, 0),
        ([0.0, 0, 10, 8], 0.9, 0),
        ([0.0, 0, 10, 2], 0.5, 0),
        ([0.0, 0, 10, 8], 0.4, 1),
    )
    index, lowered = soft_nms(boxes, scores, labels, method="linear", iou=0.3)
    assert index.tolist() == [1, 2, 3, 0]  # 0 overlaps 1 by 0.8; 2 overlaps 1 by 0.25 and 0 by 0.2
    assert lowered.tolist() == pytest.approx([0.9, 0.5, 0.4, 0.8 * 0.2])
    index, lowered = soft_nms(boxes, scores, labels, method="gaussian", sigma=0.5, floor=0.3)
    assert index.tolist() == [1, 2, 3]
    assert lowered.tolist() == pytest.approx([0.9, 0.5 * math.exp(-0.125), 0.4])  # 0 fell below 0.3


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@pytest.mark.parametrize("count", [1, 2, 30, 200])
def test_soft_nms_equals_the_definition(method: Any, count: int) -> None:
    rows = random_rows(count, count)
    for iou, sigma, floor in ((0.3, 0.5, 0.001), (0.0, 0.1, 0.0), (0.5, 2.0, 0.2)):
        index, lowered = soft_nms(*view(*rows), method=method, iou=iou, sigma=sigma, floor=floor)
        expected = soft_nms_by_loops(rows, method, iou, sigma, floor)
        assert index.tolist() == [i for i, _ in expected]
        assert lowered.tolist() == pytest.approx([score for _, score in expected], abs=1e-12)


def test_duplicates_lose_all_of_their_score() -> None:
    row = ([3.0, 4, 50, 60], 0.5, 0)
    index, lowered = soft_nms(*view(row, row, row))
    assert (index.tolist(), lowered.tolist()) == ([0], [0.5])
    assert [len(part) for part in soft_nms(*NOTHING)] == [0, 0]


# Weighted boxes fusion


def test_a_cluster_is_the_weighted_mean_and_what_one_view_sees_counts_half() -> None:
    first = view(([0.0, 0, 10, 10], 0.9, 0), ([50.0, 50, 60, 60], 0.8, 0))
    second = view(([0.0, 0, 10, 13], 0.3, 0), ([50.0, 50, 60, 60], 0.6, 1))
    boxes, scores, labels = weighted_boxes_fusion([first, second])
    assert scores.tolist() == pytest.approx([0.6, 0.4, 0.3])
    assert labels.tolist() == [0, 0, 1]
    assert boxes[0].tolist() == pytest.approx([0, 0, 10, 10.75])
    assert boxes[1:].tolist() == [[50, 50, 60, 60]] * 2


def test_weights_are_numbers_of_views() -> None:
    first, second = random_rows(1, 30), random_rows(2, 30)
    weighted = weighted_boxes_fusion([view(*first), view(*second)], [2.0, 1.0])
    assert_same_rows(weighted, wbf_by_loops([first, second], [2.0, 1.0], 0.55, 0.0))
    one = [view(([0.0, 0, 10, 10], 0.9, 0)), view(([0.0, 0, 10, 13], 0.3, 0))]
    twice = weighted_boxes_fusion([one[0], one[0], one[1]])
    for column, expected in zip(weighted_boxes_fusion(one, [2.0, 1.0]), twice, strict=True):
        torch.testing.assert_close(column, expected)


@pytest.mark.parametrize("views", [1, 2, 5])
@pytest.mark.parametrize("iou", [0.3, 0.55])
@pytest.mark.parametrize("skip_below", [0.0, 0.3])
def test_fusion_equals_the_definition(views: int, iou: float, skip_below: float) -> None:
    rows = [random_rows(10 * views + i, 12 * i + 1) for i in range(views)]
    fused = weighted_boxes_fusion([view(*each) for each in rows], iou=iou, skip_below=skip_below)
    assert_same_rows(fused, wbf_by_loops(rows, [1.0] * views, iou, skip_below))


def test_scores_stay_between_0_and_1() -> None:
    row = ([3.0, 4, 50, 60], 1.0, 0)
    boxes, scores, _ = weighted_boxes_fusion([view(row, row, row), view()], [3.0, 1.0])
    assert scores.tolist() == [1.0]
    assert boxes.tolist() == [row[0]]
    assert weighted_boxes_fusion([view(([3.0, 4, 50, 60], 0.0, 0))])[1].tolist() == [0.0]
    assert [len(column) for column in weighted_boxes_fusion([NOTHING, NOTHING])] == [0, 0, 0]


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, 1.0, 1.0]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="2 views need as many weights"):
        weighted_boxes_fusion([NOTHING, NOTHING], weights)


# All of them


def test_an_overlap_of_exactly_the_threshold_votes_and_lowers_but_joins_no_cluster() -> None:
    boxes, scores, labels = view(([0.0, 0, 10, 10], 0.9, 0), ([0.0, 0, 10, 5], 0.9, 0))
    assert vote_boxes(boxes[:1], labels[:1], boxes, scores, labels, iou=0.5).tolist() == [[0, 0, 10, 7.5]]
    assert soft_nms(boxes, scores, labels, iou=0.5)[1].tolist() == [0.9, 0.45]
    assert len(weighted_boxes_fusion([(boxes, scores, labels)], iou=0.5)[1]) == 2


@pytest.mark.parametrize("method", FUSIONS)
def test_views_become_one_best_first(method: str) -> None:
    rows = [random_rows(seed, 40) for seed in range(3)]
    boxes, scores, labels = fuse([view(*each) for each in rows], method, max_detections=20)
    assert boxes.shape == (20, 4)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert scores.dtype == torch.float64
    assert set(labels.tolist()) <= {0, 1, 2}
    assert [len(column) for column in fuse([NOTHING, NOTHING], method)] == [0, 0, 0]
    assert [len(column) for column in fuse([NOTHING, view(rows[0][0])], method)] == [1, 1, 1]


def test_each_method_is_what_its_name_says() -> None:
    rows = [random_rows(seed, 40) for seed in range(3)]
    views, union = [view(*each) for each in rows], [row for each in rows for row in each]
    boxes, scores, labels = view(*union)
    kept = suppress(boxes, scores, labels, 0.4)

    def check(found: View, expected: tuple[Tensor | Any, ...]) -> None:
        for column, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(column, torch.as_tensor(wanted, dtype=column.dtype), rtol=0, atol=1e-10)

    check(fuse(views, "nms", nms_iou=0.4), (boxes[kept], scores[kept], labels[kept]))
    voted = voted_by_loops([union[i] for i in kept.tolist()], union, 0.6, "score")
    check(fuse(views, "vote", nms_iou=0.4, vote_iou=0.6), (voted, scores[kept], labels[kept]))
    for name, method in (("soft_nms", "linear"), ("soft_nms_gaussian", "gaussian")):
        lowered = [score for _, score in soft_nms_by_loops(union, method, 0.4, 0.3, 0.05)]
        assert fuse(views, name, nms_iou=0.4, sigma=0.3, floor=0.05)[1].tolist() == pytest.approx(lowered[:100])
    assert_same_rows(fuse(views, "wbf", match_iou=0.6), wbf_by_loops(rows, [1.0] * 3, 0.6, 0.0))


def test_float32_gives_float32() -> None:
    boxes, scores, labels = view(*random_rows(3, 60))
    single = (boxes.float(), scores.float(), labels)
    for method in FUSIONS:
        found = fuse([single, single], method)
        assert found[0].dtype == found[1].dtype == torch.float32
        torch.testing.assert_close(found[1].double(), fuse([(boxes, scores, labels)] * 2, method)[1], atol=1e-5, rtol=0)
