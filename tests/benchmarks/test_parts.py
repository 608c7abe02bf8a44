"""Every benchmark runs from end to end at a toy size, and says whether both sides did the same work."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from detres.benchmarks import annotations, backbone, data, evaluation, machine, suite
from detres.benchmarks.classification.cifar_training import CifarWork
from detres.benchmarks.classification.data import CropWork
from detres.benchmarks.classification.imagenet_training import ImagenetWork
from detres.benchmarks.contenders import Contender
from detres.benchmarks.rows import Row
from detres.benchmarks.scenes import Scene
from detres.benchmarks.timing import Plan
from detres.commands.main import main
from detres.data.classification.crops import AreaCropping

CPU = torch.device("cpu")
PLAN = Plan(rounds=1, warm_up=False, memory=False)
PHOTOS = data.Photos(count=3, height=48, width=64, shortest_side=80, batch=2)
TOYS = {
    "backbone": backbone.Pictures("resnet18", images=4, side=96, classes=5),
    "detector": Scene("resnet18", 96, 128, classes=7, images=2),
    "train": Scene("resnet18", 96, 128, classes=7, images=2, objects=3),
    "train_cls": suite.ClassifierTraining(
        [CifarWork(batch=32, steps=1, workers=0)],
        ImagenetWork(backbone.Pictures("resnet18", images=4, side=64), steps=1),
    ),
    "data": suite.Loading(PHOTOS, [CropWork("area", AreaCropping(32), 150, 200, 0.1, 1.0, count=3, batch=2)]),
    "annotations": annotations.AnnotationFile(images=20, boxes=100, classes=3, corners=3),
    "eval": evaluation.Results(images=20, detections=10, classes=3),
}
KEYS = {"name", "ours", "peer", "unit", "ratio", "limit_share", "peer_name", "device", "versions", "threads"}


@pytest.fixture(scope="module")
def toy_machine() -> machine.Machine:
    return machine.measure_machine(CPU, compile=False, side=64)


@pytest.mark.slow
@pytest.mark.parametrize("part", TOYS)
def test_every_part_runs_and_its_work_is_the_same(part: str, toy_machine: machine.Machine) -> None:
    rows = suite.PARTS[part].measure(toy_machine, TOYS[part], PLAN)
    assert rows
    for row in rows:
        assert set(row.to_dict(toy_machine)) >= KEYS
        assert row.check is not None
        assert row.check.passed, row.check.what
        assert row.ratio is not None
        assert row.ratio > 0
        assert (row.limit_share is None) == (part in ("data", "annotations", "eval"))


def test_every_part_runs_here_or_is_named_apart() -> None:
    assert {*TOYS, "train_cls_memory", "test", "report"} == set(suite.PARTS)


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(toy_machine: machine.Machine) -> None:
    rows = suite.PARTS["detector"].measure(toy_machine, TOYS["detector"], Plan(rounds=1))
    weighed = [row for row in rows if row.name.endswith("/memory")]
    assert [row.name for row in weighed] == ["detector/r18_fpn/float32/memory", "detector/r18_fpn/bf16/memory"]
    assert all(100 < row.ours < 10_000 and row.unit == "MiB" for row in weighed)


def test_another_output_fails_the_check_of_backbones() -> None:
    def contender(value: float) -> Contender:
        return Contender(lambda: torch.tensor([1.0, value]))

    names = ("ours float32", "ours bf16", "timm float32", "timm bf16", "torchvision float32", "torchvision bf16")
    equal = dict.fromkeys(names, contender(2.0))
    assert all(check.passed for check in backbone._checks(equal).values())
    assert not backbone._checks(equal | {"timm float32": contender(2.01)})["float32"].passed
    assert not backbone._checks(equal | {"ours bf16": contender(2.5)})["bf16"].passed


@pytest.mark.slow
def test_other_images_or_boxes_fail_the_check_of_batches(tmp_path: Path) -> None:
    photos = PHOTOS
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        data.write_photos(tmp_path / name, photos)
    file = tmp_path / "other" / "instances.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"][3] /= 2
    file.write_text(json.dumps(content))

    def check(ours: str, theirs: str) -> data.Check:
        return data.same_batches(
            data.our_batches(tmp_path / ours, photos), data.their_batches(tmp_path / theirs, photos, masks=True)
        )

    assert check("one", "one").passed
    assert not check("one", "other").passed
    (tmp_path / "other" / "000002.jpg").write_bytes((tmp_path / "other" / "000001.jpg").read_bytes())
    assert "image 3" in check("one", "other").what


def test_other_boxes_fail_the_check_of_annotations(tmp_path: Path) -> None:
    TOYS["annotations"].write(tmp_path)
    ours, theirs = annotations.make_ours(tmp_path)(), annotations.make_theirs(tmp_path)()
    assert annotations.same_boxes(ours, theirs).passed
    theirs.anns[7]["bbox"][2] += 0.01
    assert not annotations.same_boxes(ours, theirs).passed


def test_another_average_precision_fails_the_check_of_evaluation() -> None:
    results = TOYS["eval"]
    ours, theirs = evaluation.make_ours(results)(), evaluation.make_theirs(results)()
    assert evaluation.same_metrics(ours, theirs).passed
    assert not evaluation.same_metrics(ours | {"AP": ours["AP"] + 1e-8}, theirs).passed


def _command(monkeypatch: pytest.MonkeyPatch, rows: list[Row], arguments: list[str]) -> int:
    measure = machine.measure_machine
    monkeypatch.setattr(machine, "measure_machine", lambda device, compile: measure(device, compile=False, side=64))
    monkeypatch.setattr(suite, "run_part", lambda part, machine, quick: rows)
    return main(["benchmark", *arguments])


def test_the_command_prints_a_table_and_writes_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("data/detection", 300.0, 30.0, "images/s", "torchvision", "toys", check=data.Check(True, "3 images"))
    status = _command(monkeypatch, [row], ["data", "--json", str(tmp_path / "new" / "rows.json"), "--device", "cpu"])
    assert status == 0
    written = json.loads((tmp_path / "new" / "rows.json").read_text())
    assert [each["name"] for each in written][-1] == "data/detection"
    assert all(set(each) >= KEYS for each in written)
    assert "data/detection" in capsys.readouterr().out


def test_the_command_fails_where_a_check_does(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("data/detection", 300.0, 30.0, "images/s", "torchvision", check=data.Check(False, "other"))
    assert _command(monkeypatch, [row], ["data", "--device", "cpu"]) == 1


def test_an_unknown_part_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "detecter", "--device", "cpu"]) == 2
    assert "did you mean detector" in capsys.readouterr().err


def test_all_on_a_gpu_is_what_runs_there() -> None:
    asked_for = ("train_cls_memory", "test", "annotations", "report")
    assert suite.parts_named(["all"], CPU) == [name for name in suite.PARTS if name not in asked_for]
    assert suite.parts_named(["all"], torch.device("cuda")) == ["backbone", "detector", "train", "train_cls"]
    assert suite.parts_named(["eval", "data", "eval"], CPU) == ["eval", "data"]


def test_what_takes_minutes_for_one_figure_is_run_where_it_is_named() -> None:
    assert suite.parts_named(["train_cls_memory"], CPU) == ["train_cls_memory"]


def test_photos_are_the_same_every_time(tmp_path: Path) -> None:
    sizes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sizes.append(data.write_photos(tmp_path / name, PHOTOS))
    assert sizes[0] == sizes[1]
    names = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert names == [*(f"{place:06d}.jpg" for place in range(3)), "instances.json"]
    for one, two in itertools.pairwise([tmp_path / "one", tmp_path / "two"]):
        assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
