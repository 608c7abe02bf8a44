"""Pictures of a set: ground truth, with predictions beside it where there is a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detres.config.detection_schema import Config
from detres.config.loading import Layer
from detres.conversion.published import locate_detector
from detres.data.places import SplitName
from detres.detection.files import DetectorSettings
from detres.errors import ConfigError, DataError
from detres.prediction import Detector
from detres.report.drawing import draw_comparison, draw_objects, picture_sheet
from detres.report.fonts import illegible
from detres.reporter import SILENT, Reporter
from detres.tasks.detection.evaluated_sets import load_measured, split_to_measure
from detres.tasks.detection.evaluation import evaluation_config
from detres.tasks.detection.measuring import map_classes
from detres.tasks.detection.predicting import write_picture
from detres.tasks.detection.set_configs import config_of_set
from detres.tasks.runs.evaluation_places import Asked, config_of_data, default_place
from detres.tasks.runs.output_folders import make_folder, renamed_lines, unique_names
from detres.tasks.runs.own_code import stated_code

SHEET_PICTURES = 12


def draw_set(
    *,
    weights: str | Path | None,
    cfg: str | None,
    layers: Sequence[Layer] = (),
    overrides: Sequence[str] = (),
    split: SplitName | None = None,
    out: Path | None = None,
    limit: int = 24,
    score: float = 0.5,
    device: str | None = None,
    reporter: Reporter = SILENT,
) -> tuple[Path, int]:
    """Draw `limit` images spread over the split, and a sheet of the first ones; returns the sheet and their number.

    An image that cannot be decoded is said and left out. Raises DataError where none can.
    """
    if limit < 1:
        raise ConfigError(f"--limit is {limit}, expected 1 or more")
    if not 0 <= score <= 1:
        raise ConfigError(f"--score is {score}, expected 0 to 1")
    config, folder = _what(weights, cfg, layers, overrides)
    if not isinstance(config, Config):
        raise ConfigError(f"--cfg {cfg}: a {config.task} config; the sets of detection are drawn")
    split = split_to_measure(config, split or (None if weights else "train"), reporter)
    images = load_measured(config.data, split, reporter, may_lack=split == "train")
    own_code = stated_code(cfg, overrides)
    detector = _detector(locate_detector(weights), config, device, own_code) if weights else None
    classes = map_classes(detector.class_names, images.class_names) if detector else None
    chosen = np.unique(np.linspace(0, len(images) - 1, num=min(limit, len(images))).round().astype(int)).tolist()
    files = [Path(images.file_name(i)) for i in chosen]
    names = unique_names(files)
    for line in renamed_lines(files, names):
        reporter.say(line)
    if told := illegible(images.class_names):
        reporter.say(told)
    out, drawn = make_folder(out or folder), []
    for i, name in zip(chosen, names, strict=True):
        try:
            rgb = images.pixels(i)
        except DataError as error:
            reporter.say(f"left out: {error}")
            continue
        target = images.target(i)
        if detector and classes:
            found = classes(detector.predict(rgb))
            picture = draw_comparison(rgb, target, found, images.class_names, min_score=score)
        else:
            picture = draw_objects(rgb, target, images.class_names)
        write_picture(out / f"{name}.jpg", picture)
        drawn.append((name, picture))
    if not drawn:
        raise DataError(f"{images.name}: none of {len(chosen)} images can be decoded; see the lines above")
    title = f"{images.name}, {'ground truth beside predictions' if detector else 'ground truth'}"
    return _write_sheet(out / "sheet.png", drawn[:SHEET_PICTURES], title), len(drawn)


def _detector(file: Path, config: Config, device: str | None, own_code: str | None) -> Detector:
    """The file's detector, fed and tested as the config says: eval_det's."""
    tensors, settings = DetectorSettings.read(file)
    settings = replace(settings.with_model(config.model, config.test, str(file)), preprocessing=config.data)
    model = settings.filled(tensors, str(file), own_code=own_code)
    return Detector(model.eval(), settings, device=device)


def _write_sheet(file: Path, drawn: Sequence[tuple[str, NDArray[np.uint8]]], title: str) -> Path:
    """The pictures on one, each below its name."""
    names, pictures = zip(*drawn, strict=True)
    sheet = picture_sheet(pictures, 3 if len(pictures) > 3 else len(pictures), title=title, captions=names)
    write_picture(file, sheet)
    return file


def _what(
    weights: str | Path | None, cfg: str | None, layers: Sequence[Layer], overrides: Sequence[str]
) -> tuple[Config, Path]:
    """The config whose data are drawn, and the folder for the pictures."""
    if weights is not None:
        file = locate_detector(weights)
        folder = default_place(file) / "pictures"
        base = config_of_data(file, Asked(cfg=cfg, layers=layers), Config())
        return evaluation_config(DetectorSettings.stated(file), file, base, layers, overrides), folder
    config, name = config_of_set(cfg, layers, overrides, "a set with --cfg or --data, or a detector with --weights")
    return config, Path("runs/pictures") / name
