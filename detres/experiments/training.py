"""One training run, from a config to a folder of checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import torch
from torch.nn.parallel import DistributedDataParallel

from detres.config.difference import check_resumable
from detres.config.loading import dump_config, load_config
from detres.config.schema import Config
from detres.data.annotations import AnnotatedImages
from detres.data.datasets import load_dataset
from detres.detection.detector_files import settings_of
from detres.detection.faster_rcnn import FasterRCNN
from detres.distributed import broadcast_from_main, is_main, local_device, process_group, share_buffers, world_size
from detres.errors import ConfigError
from detres.experiments.assembly import optimizer_of, prepare_for, schedule_of, training_batches, training_set
from detres.experiments.evaluating import map_classes, measure
from detres.experiments.models import build_detector, detector_from_weights, detector_of_checkpoint
from detres.experiments.output_folders import make_folder, write_text
from detres.training.checkpoints import MODEL_FILE, checkpoint_to_resume
from detres.training.ema import MovingAverage
from detres.training.run_lock import only_run_in
from detres.training.running import Evaluate, Finished, Intervals, run_training

Say = Callable[[str], None]


def train(
    config: Config,
    out: str | Path | None = None,
    *,
    weights: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
    terminal: TextIO | None = None,
    say: Say = lambda line: None,
) -> Path:
    """Train the config's detector; returns the run's folder, runs/RECIPE unless `out` names another.

    weights: a detector's file to start from; classes are matched by name. resume: go on where the folder has a
    checkpoint. terminal: where progress is shown. say: told what was loaded and left out, a line at a time.
    Raises UserError; training.interrupts.Interrupted after the checkpoint of a run that was asked to stop.
    """
    where, run = local_device(device), Path(out or f"runs/{config.recipe or 'detection'}")
    with process_group(where), ExitStack() as stack:
        if is_main():
            stack.enter_context(only_run_in(make_folder(run)))
        return _train(config, run, weights, resume, where, terminal, say)


def _train(
    config: Config,
    run: Path,
    weights: str | Path | None,
    resume: bool,
    device: torch.device,
    terminal: TextIO | None,
    say: Say,
) -> Path:
    say = say if is_main() else lambda line: None
    found = checkpoint_to_resume(run, resume)
    if found and (run / "config.yaml").is_file():
        check_resumable(load_config(run / "config.yaml"), config, str(run))
    images = load_training_images(config, say)
    if found:
        model = detector_of_checkpoint(config, found / MODEL_FILE)
    elif weights is not None:
        model = detector_from_weights(config, images.class_names, weights, say)
    else:
        model = build_detector(config, images.class_names)
        say_loaded(model, say)
    settings = settings_of(model, config.model, config.data, config.test, config.recipe)
    model = prepare_for(model, config, device)
    evaluate = _evaluator(model, config, device, say)
    if is_main():
        write_text(run / "config.yaml", dump_config(config))

    dataset = training_set(config, images)
    batches, accumulate = training_batches(config, dataset, device)
    training = config.training
    wrapped = model
    if world_size() > 1:
        wrapped = DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)
    try:
        finished = run_training(
            wrapped,
            optimizer_of(model, config),
            schedule_of(config),
            batches,
            run=run,
            steps=training.steps,
            device=device,
            accumulate=accumulate,
            precision=training.precision,
            clip_norm=training.clip_norm,
            ema=MovingAverage(model, training.ema) if training.ema else None,
            seed=training.seed,
            intervals=Intervals(
                training.log_every, training.checkpoint_every, training.keep_every, training.eval_every
            ),
            evaluate=evaluate,
            best_metric=training.best_metric,
            metadata=settings.to_metadata(),
            terminal=terminal,
            resume=resume,
        )
    finally:  # Said however the run ends; each rank's own workers have met their own.
        for problem in dataset.undecodable():
            say(f"warning: {problem}")
    _say_finished(finished, run, say)
    return run


def load_training_images(config: Config, say: Say = lambda line: None) -> AnnotatedImages:
    """The training split, what is wrong with it said once. One process makes or unpacks what must be made first."""
    if is_main():
        images = load_dataset(config.data, "train")
    # By way of the host, where waiting has no time limit of minutes: a first index of a large set takes long.
    broadcast_from_main(None)
    if not is_main():
        images = load_dataset(config.data, "train")
    say(f"{images.name}: {len(images)} images, {len(images.boxes)} boxes of {len(images.class_names)} classes")
    for kind, count in images.problem_counts().items():
        example = next(problem for problem in images.problems if problem.kind == kind)
        say(f"warning: {count} × {kind}, such as {example.file}: {example.detail} (check_data lists them all)")
    if not len(images):
        raise ConfigError(f"{images.name}: no images to train on")
    return images


def _evaluator(model: FasterRCNN, config: Config, device: torch.device, say: Say) -> Evaluate | None:
    """Measures on val, or on test where there is no val; None where there is neither, or nothing is annotated."""
    split = "val" if config.data.val or config.data.val_fraction else "test" if config.data.test else None
    if split is None:
        return None
    images = load_dataset(config.data, split)
    if not len(images.boxes):
        say(f"{images.name}: nothing is annotated, so it is not evaluated; eval_det writes its comp4 files")
        return None
    map_classes(model.class_names, images.class_names)  # A contradiction shows now, not after the training.
    if split == "test" and config.training.eval_every:
        say(f"warning: there is no val split, so the best checkpoint is chosen on {images.name}")

    def evaluate(step: int) -> dict[str, Any] | None:
        share_buffers(model)
        measured = measure(model, config, images, device)
        return measured.metrics if measured else None

    return evaluate


def say_loaded(model: FasterRCNN, say: Say) -> None:
    """What became of the backbone's weights."""
    report = getattr(model.backbone, "load_report", None)
    if report is not None:
        for line in report.lines():
            say(line)
    elif model.stage_norms:
        say("backbone: random weights; norms: " + ", ".join(f"{s} {n}" for s, n in model.stage_norms.items()))


def _say_finished(finished: Finished, run: Path, say: Say) -> None:
    best = finished.best
    reached = f"; best {best.metric} {100 * best.value:.2f} % at step {best.step}" if best else ""
    say(f"finished {finished.step} steps{reached}; {run / 'checkpoints'}")
