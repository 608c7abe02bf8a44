"""What a detector's safetensors file says of itself, and the detector rebuilt from it. Nothing in the file runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from detres.backbones.building import build_backbone
from detres.backbones.network import Network
from detres.backbones.weights.loading import metadata_of
from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.model_settings import ModelSettings
from detres.config.detection_schema import DataConfig, ModelConfig, TestConfig
from detres.config.losses import without_own_losses
from detres.detection.model.building import assemble
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.layouts import outputs_of
from detres.errors import WeightsError

if TYPE_CHECKING:
    from detres.backbones.timm_features import TimmFeatures

# Of the data section, what decides how an image reaches the model.
PREPROCESSING = ("shortest_side", "longest_side", "rounding", "exif")
# Of the backbone's section, what makes another function of the same weights.
_TRAINED_IN = ("name", "shortcut", "shortcut_padding", "stride_in", "output_stride", "norm", "norm_eps")


@dataclass(frozen=True)
class DetectorSettings(ModelSettings[ModelConfig, DataConfig, TestConfig]):
    """Everything beside a detector's tensors."""

    task = "detection"
    kind = "detector"
    sections = (ModelConfig, DataConfig, TestConfig)
    preprocessing_keys = PREPROCESSING
    may_be_code = True
    if_absent = (
        "; convert_weights --from PROJECT IN OUT makes one of another project's, and a backbone's weights go to "
        "model.backbone.weights={where}"
    )

    @property
    def described(self) -> str:
        return "the model it describes"

    def build(self, where: str, *, own_code: str | None = None) -> FasterRCNN:
        section = self.model.backbone
        check_code(self, where, own_code)
        outputs = outputs_of(self.model.layout, section.name)
        recomputes = self.model.checkpoint_blocks
        if self.backbone is None:
            stated = section.model_dump(include=set(_TRAINED_IN) - {"name", "output_stride"}, exclude_none=True)
            stride = self.model.output_stride
            backbone = build_backbone(
                section.name, outputs=outputs, output_stride=stride, checkpoint_blocks=recomputes, **stated
            )
            if section.frozen_stages and isinstance(backbone, Network):
                # Not a choice it is built by: it would ask for weights, which are filled in later.
                backbone.freeze_stages(section.frozen_stages)
        elif section.name.startswith("timm/"):
            backbone = build_backbone(
                section.name,
                outputs=outputs,
                norm=self.norms["all"],
                frozen_stages=section.frozen_stages,
                checkpoint_blocks=recomputes,
                metadata=self.backbone,
            )
        else:
            backbone = build_backbone(
                section.name,
                outputs=outputs,
                output_stride=self.model.output_stride,
                norm=self.norms or None,
                frozen_stages=section.frozen_stages,
                checkpoint_blocks=recomputes,
                metadata=self.backbone,
            )
        return assemble(backbone, without_own_losses(self.model), self.test)

    def with_model(self, model: ModelConfig, test: TestConfig, where: str) -> DetectorSettings:
        """The same weights in the model that a config asks for: other classes, proposals or thresholds.

        Raises WeightsError where it asks for another function than the one the weights were trained in.
        """
        self.check_asked(_deciding(model), self._trained_in(), where)
        self.check_shapes(model, where)
        # Left open, it is not the layout's usual one but the weights'.
        section = model.backbone.model_copy(update={"output_stride": self.model.output_stride})
        return replace(self, model=model.model_copy(update={"backbone": section}), test=test)

    def gaining_context(self) -> DetectorSettings:
        """The same weights in a model that reads the whole image as well: a beginning for training, no detector yet."""
        return replace(self, model=self.model.model_copy(update={"global_context": True}))

    def _trained_in(self) -> dict[str, Any]:
        """As _deciding, with what the config left to the weights or the architecture."""
        own = {"model.backbone.output_stride": self.model.output_stride}
        return _deciding(self.model) | own | self.backbone_as_trained()


def _deciding(model: ModelConfig) -> dict[str, Any]:
    """What decides which function the weights are, by its key; None where the config leaves it open."""
    section = model.backbone.model_dump(include=set(_TRAINED_IN))
    own = {"model.layout": model.layout, "model.global_context": model.global_context}
    return own | {f"model.backbone.{key}": value for key, value in section.items()}


def settings_of(
    model: FasterRCNN, config: ModelConfig, preprocessing: DataConfig, test: TestConfig, recipe: str
) -> DetectorSettings:
    """The settings of a model that was built from this config."""
    backbone = model.backbone
    known, norms = None, dict(model.stage_norms)
    if isinstance(backbone, Network) and ":" not in config.backbone.name:
        known = metadata_of(backbone, recipe=recipe)
    elif config.backbone.name.startswith("timm/"):
        timm = cast("TimmFeatures", backbone)  # By its name. To ask for its class is to import timm, a second.
        known = WeightsMetadata(timm.name, timm.pixel_stats, recipe=recipe)
        norms = {"all": "frozen" if timm.norms_frozen else "batch"}
    section = config.backbone.model_copy(update={"weights": None})
    config = config.model_copy(update={"class_names": model.class_names, "backbone": section})
    return DetectorSettings(config, preprocessing, test, known, norms, recipe)


def check_code(settings: DetectorSettings, where: str, own_code: str | None) -> None:
    """Raise WeightsError where the backbone is code that nobody but the file names; own_code: what the user names."""
    name = settings.model.backbone.name
    if ":" in name and name != own_code:
        raise WeightsError(
            f"{where}: its backbone is {name[:200]}, code of yours or of whoever made the file; a weights file never "
            "runs code. If it is yours, name it yourself: give your config with --cfg, or model.backbone.name=…"
        )
