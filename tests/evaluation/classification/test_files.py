from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from detres.evaluation.classification.accuracy import AccuracyEvaluator, Ranking
from detres.evaluation.classification.files import write_predictions

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")


def test_the_servers_form_has_five_numbers_a_line_in_the_order_of_the_files(tmp_path: Path) -> None:
    ids = ["n2/ILSVRC2012_val_00000001", "n1/ILSVRC2012_val_00000003", "n1/ILSVRC2012_val_00000002"]
    evaluator = AccuracyEvaluator(NAMES, ids, [0, 1, 2])
    evaluator.add(ids, np.array([[0.1, 0.2, 0.3, 0.4, 0, 0], [0, 0, 0, 0, 0.25, 0.75], [1.0, 0, 0, 0, 0, 0]]))
    server, readable = write_predictions(tmp_path / "pred.txt", evaluator.rankings(), NAMES)
    assert server.read_text() == "4 3 2 1 5\n1 2 3 4 5\n6 5 1 2 3\n"
    assert readable.name == "pred.txt.jsonl"
    lines = [json.loads(line) for line in readable.read_text().splitlines()]
    assert [line["file"] for line in lines] == [ids[0], ids[2], ids[1]]
    assert lines[2]["names"] == ["fox", "eel", "ant", "bee", "cat"]
    assert lines[2]["probabilities"] == [0.75, 0.25, 0.0, 0.0, 0.0]


def test_the_servers_own_numbers_are_used_and_what_is_unreadable_keeps_its_place(tmp_path: Path) -> None:
    rankings = [Ranking("a", (2, 0), (0.5, 0.25)), Ranking("b", (), ())]
    server, readable = write_predictions(tmp_path / "p", rankings, NAMES, numbers=(10, 20, 30, 40, 50, 60))
    assert server.read_text() == "30 10\n0 0 0 0 0\n"
    unread = json.loads(readable.read_text().splitlines()[1])
    assert unread == {"file": "b", "names": [], "probabilities": []}


def test_fewer_classes_than_five_and_no_images(tmp_path: Path) -> None:
    server, readable = write_predictions(tmp_path / "p", [Ranking(7, (1, 0), (0.6, 0.4))], ("a", "b"))
    assert server.read_text() == "2 1\n"
    assert json.loads(readable.read_text())["file"] == "7"
    server, readable = write_predictions(tmp_path / "p", [], ("a", "b"))
    assert server.read_text() == readable.read_text() == ""


def test_numbers_in_names_are_counted_not_spelled(tmp_path: Path) -> None:
    ids = ["b/10", "a/9", "c/x10", 7, "a/10"]
    rankings = [Ranking(image_id, (0,), (1.0,)) for image_id in ids]
    _, readable = write_predictions(tmp_path / "p", rankings, ("a",))
    assert [json.loads(line)["file"] for line in readable.read_text().splitlines()] == [
        "7",
        "a/9",
        "a/10",
        "b/10",
        "c/x10",
    ]
