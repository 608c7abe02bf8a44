"""What --weights names: a run, a checkpoint, a file, or the tag of a detector torchvision publishes.

A tag's file is downloaded once into the cache (backbones/weights/tags.py), converted there, and found converted from
then on.
"""

from __future__ import annotations

from pathlib import Path

from detres.backbones.weights.formats import is_safetensors_file
from detres.backbones.weights.tags import PublishedWeights, fetch, weights_cache
from detres.checkpoints.reading import find_weights_file
from detres.conversion.converted import Stated, write_converted
from detres.conversion.torchvision.reading import read_torchvision
from detres.errors import WeightsError

# Their names, and the eps their backbones were trained with: the file does not hold it.
_PUBLISHED = {"fasterrcnn_resnet50_fpn": 0.0, "fasterrcnn_resnet50_fpn_v2": 1e-5}


def locate_detector(weights: str | Path) -> Path:
    """The safetensors file of a detector. Raises WeightsError where there is none."""
    publisher, _, name = str(weights).partition("/")
    if publisher != "torchvision" or Path(weights).exists():
        file = find_weights_file(weights)
        if not is_safetensors_file(file):
            raise WeightsError(
                f"--weights {weights}: detectors are safetensors of detres's own. A backbone's weights go to "
                f"model.backbone.weights={file}; another project's detector is converted first: detres convert_weights "
                f"--from torchvision (or detectron2, mmdetection) {file} {file.name.split('.')[0]}.safetensors"
            )
        return file
    if name not in _PUBLISHED:
        known = ", ".join(f"torchvision/{tag}" for tag in _PUBLISHED)
        raise WeightsError(f"--weights {weights}: no such detector; there are {known}")
    converted = _converted(name)
    if not converted.is_file():
        source = fetch(published_detector(str(weights)))
        detector = read_torchvision(source, Stated(norm_eps=_PUBLISHED[name]))
        if detector is None:
            raise WeightsError(f"{source}: no detector; take the file away, and it is downloaded anew")
        write_converted(detector, converted, str(source))
    return converted


def is_at_hand(tag: str) -> bool:
    """Whether the detector of a tag was converted already, so that nothing has to be downloaded."""
    return _converted(tag.partition("/")[2]).is_file()


def published_detector(tag: str) -> PublishedWeights:
    """Where the file of one of torchvision's detectors is, in the cache and on its server."""
    from torchvision.models import get_model_weights

    entry = get_model_weights(tag.partition("/")[2]).DEFAULT
    file = entry.url.rsplit("/", 1)[-1]
    digest = Path(file).stem.rsplit("-", 1)[-1]
    return PublishedWeights(tag, weights_cache() / "torchvision" / file, entry.url, digest, None)


def _converted(name: str) -> Path:
    return weights_cache() / "torchvision" / f"{name}.safetensors"
