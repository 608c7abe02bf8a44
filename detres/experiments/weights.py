"""What --weights means: a run folder, a checkpoint folder, a file, or a tag of published weights."""

from __future__ import annotations

from pathlib import Path

from detres.config.loading import Layer
from detres.detection.detector_files import read_detector
from detres.errors import WeightsError
from detres.training.checkpoints import MODEL_FILE, find_checkpoint


def find_weights_file(weights: str | Path) -> Path:
    """The safetensors file that `weights` names; of a run, its best checkpoint, else its last."""
    path = Path(weights).expanduser()
    if path.is_dir():
        return find_checkpoint(path) / MODEL_FILE
    if path.is_file():
        return path
    raise WeightsError(
        f"--weights {weights}: there is no such file or folder; it takes a run folder, a checkpoint or a file"
    )


def model_layer(weights: str | Path) -> tuple[Path, Layer]:
    """The file, and the model it decides, to be laid over a config; class names stay the data's."""
    path = find_weights_file(weights)
    _, settings = read_detector(path)
    model = settings.model.model_dump(mode="json", exclude={"class_names"})
    return path, Layer(str(path), {"model": model})
