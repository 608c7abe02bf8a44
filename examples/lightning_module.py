"""A detres detector in Lightning: its losses are the training step, its metrics the validation (pip install lightning).

    python examples/lightning_module.py --steps 120

The made shapes set and a ResNet-18 with FPN, as in plain_train.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import detres
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.data.detection.loaders import DetectionDataset, evaluation_loader, training_loader
from detres.data.detection.transforms import DetectionTransform
from detres.data.formats.coco.reading import coco_ground_truth
from detres.data.loading.samplers import Share
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.evaluation.detection_evaluator import DetectionEvaluator

BATCH, LR = 4, 0.02
SIDES: dict[str, Any] = {"shortest_side": [160], "longest_side": 224}


class LightningDetector(lightning.LightningModule):
    """images: the set that is measured on, whole, by one device (DetectionEvaluator.merge joins those of several).

    Batches are detres.DetectionBatch, whose `.to(device)` is all that Lightning needs to move them.
    """

    def __init__(self, detector: FasterRCNN, images: AnnotatedImages, steps: int) -> None:
        super().__init__()
        self.detector, self.images, self.steps = detector, images, steps

    def training_step(self, batch: detres.DetectionBatch, batch_index: int) -> Tensor:
        losses = self.detector(batch)
        self.log_dict(losses, batch_size=len(batch))
        return torch.stack(list(losses.values())).sum()

    def configure_optimizers(self) -> dict[str, Any]:
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(learned, LR, momentum=0.9, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=self.steps, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_validation_epoch_start(self) -> None:
        image_ids = [self.images.image_id(place) for place in range(len(self.images))]
        truth = coco_ground_truth(self.images)
        self.evaluator = DetectionEvaluator(truth, self.images.class_names, image_ids=image_ids)

    def validation_step(self, batch: detres.DetectionBatch, batch_index: int) -> None:
        for image_id, found in zip(batch.image_ids, self.detector.predict(batch), strict=True):
            self.evaluator.add(image_id, found)

    def on_validation_epoch_end(self) -> None:
        metrics = self.evaluator.summarize()
        self.log_dict({name: metrics[name] for name in ("AP", "AP50", "mAP50")}, prog_bar=True)


def loaders(train: AnnotatedImages, val: AnnotatedImages, pad_to: int) -> tuple[DataLoader, DataLoader]:
    """Endless batches to train on, and each image to measure on once."""
    flipped = DetectionTransform([{"HorizontalFlip": {"p": 0.5}}], training=True, **SIDES)
    plain = DetectionTransform(**SIDES)
    return (
        training_loader(DetectionDataset(train, flipped), Share(BATCH), pad_to=pad_to),
        evaluation_loader(DetectionDataset(val, plain), Share(8), pad_to=pad_to),
    )


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Train for --steps and measure once; returns what was logged last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120, help="of four images each")
    parser.add_argument("--out", type=Path, default=Path("runs/lightning"))
    arguments = parser.parse_args(argv)
    config = detres.load_config("shapes_r18")
    train, val = load_dataset(config.data, "train"), load_dataset(config.data, "val")
    module = LightningDetector(detres.build_detector(config, train.class_names), val, arguments.steps)
    trainer = lightning.Trainer(
        max_steps=arguments.steps,
        limit_train_batches=arguments.steps,  # the loader has no end, so an epoch is as long as we say
        num_sanity_val_steps=0,  # metrics are of the whole set, or none
        gradient_clip_val=10.0,
        log_every_n_steps=20,
        devices=1,  # more would read the same batches: both loaders take rank and world
        logger=False,
        default_root_dir=arguments.out,
    )
    trainer.fit(module, *loaders(train, val, module.detector.pad_to))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


if __name__ == "__main__":
    main()
