"""Train and measure a detector in a loop of your own: detres's model, batches and metrics, and plain PyTorch around it.

    python examples/plain_train.py --steps 120 --out runs/plain
    detres predict --weights runs/plain/model.safetensors photos/

The made shapes set and a ResNet-18 with FPN: a minute or two on two CPU cores. `detres train_det` adds what a run of
days needs: exact resume, several devices, EMA, accumulation, and a best checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

import detres
from detres.backbones.weights.files import write_tensors
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.data.detection.loaders import DetectionDataset, evaluation_loader, training_loader
from detres.data.detection.transforms import DetectionTransform
from detres.data.formats.coco.reading import coco_ground_truth
from detres.data.loading.samplers import Share
from detres.detection.files import settings_of
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.evaluation.detection_evaluator import DetectionEvaluator

BATCH, LR, CLIP_NORM = 4, 0.02, 10.0
SIDES: dict[str, Any] = {"shortest_side": [160], "longest_side": 224}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train for --steps, measure on the val split and write --out/model.safetensors; returns the metrics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120, help="of four images each")
    parser.add_argument("--out", type=Path, default=Path("runs/plain"))
    arguments = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    # A recipe states the model; any key of it can be said otherwise.
    config = detres.load_config("shapes_r18", ["model.rpn.post_nms_train=100"])
    images = load_dataset(config.data, "train")
    model = detres.build_detector(config, images.class_names).to(device)

    train(model, images, arguments.steps, device)
    metrics = evaluate(model, load_dataset(config.data, "val"), device)
    print(f"AP {metrics['AP']:.3f}  mAP50 {metrics['mAP50']:.3f}  on {metrics['images']} images")

    # The file says all that rebuilds and feeds the model: detres.Detector.from_checkpoint takes it.
    metadata = settings_of(model, config.model, config.data, config.test, config.recipe).to_metadata()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_tensors(arguments.out / "model.safetensors", model.state_dict(), metadata)
    return metrics


def train(model: FasterRCNN, images: AnnotatedImages, steps: int, device: torch.device) -> None:
    """SGD for so many steps, the learning rate up and down once."""
    flipped = DetectionTransform([{"HorizontalFlip": {"p": 0.5}}], training=True, **SIDES)
    # Endless: an epoch's order follows from the seed and the epoch's number.
    batches = iter(training_loader(DetectionDataset(images, flipped), Share(BATCH), pad_to=model.pad_to))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learned, LR, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, cycle_momentum=False)
    model.train()
    for step in range(steps):
        # Four by name: loss_rpn_objectness, loss_rpn_box, loss_roi_class, loss_roi_box.
        losses = model(next(batches).to(device))
        loss = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, CLIP_NORM)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step:4d}  loss {loss:.3f}  " + "  ".join(f"{k[5:]} {v:.3f}" for k, v in losses.items()))


def evaluate(model: FasterRCNN, images: AnnotatedImages, device: torch.device) -> dict[str, Any]:
    """COCO's and VOC's metrics of the whole set, fractions in 0..1."""
    image_ids = [images.image_id(place) for place in range(len(images))]
    evaluator = DetectionEvaluator(coco_ground_truth(images), images.class_names, image_ids=image_ids)
    dataset = DetectionDataset(images, DetectionTransform(**SIDES))
    model.eval()
    for batch in evaluation_loader(dataset, Share(8), pad_to=model.pad_to):
        # detres.Detections of each image, in pixels of its file; every image is added, with or without any.
        for image_id, found in zip(batch.image_ids, model.predict(batch.to(device)), strict=True):
            evaluator.add(image_id, found)
    return evaluator.summarize()


if __name__ == "__main__":
    main()
