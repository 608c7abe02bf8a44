"""detectron2's config.yaml: what its weights are built with, fed and tested by, in the keys of detres's configs.

A whole config, as its training leaves in the output folder, says everything; a part of one says what it differs in from
detectron2's defaults. Files that it names as its _BASE_ are read where they are there. Nothing is downloaded or run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detres.config.loading import Layer, layer_of
from detres.config.yaml_dialect import read_yaml_1_1
from detres.conversion.detectron2.names import LayoutName
from detres.conversion.foreign_configs import plain, read_config_file, shown
from detres.conversion.keys import asked
from detres.errors import ConfigError

_MOST_BASES = 8
_ABSENT = object()

# Their keys whose values are ours as they stand.
SAME = {
    "MODEL.ANCHOR_GENERATOR.OFFSET": "model.anchors.offset",
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": "model.rpn.min_size",
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": "model.rpn.pre_nms_train",
    "MODEL.RPN.PRE_NMS_TOPK_TEST": "model.rpn.pre_nms_test",
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": "model.rpn.post_nms_train",
    "MODEL.RPN.POST_NMS_TOPK_TEST": "model.rpn.post_nms_test",
    "MODEL.RPN.NMS_THRESH": "model.rpn.nms",
    "MODEL.RPN.BBOX_REG_WEIGHTS": "model.rpn.codec_weights",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": "model.roi.codec_weights",
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": "model.roi.sampling_ratio",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": "test.score",
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": "test.nms",
    "TEST.DETECTIONS_PER_IMAGE": "test.max_detections",
    "MODEL.PIXEL_MEAN": "model.backbone.pixel_stats.mean",
    "MODEL.PIXEL_STD": "model.backbone.pixel_stats.std",
    "INPUT.MIN_SIZE_TEST": "data.shortest_side",
    "INPUT.MAX_SIZE_TEST": "data.longest_side",
}
# Their keys whose values have other names here: the key, and ours by theirs.
NAMED: Mapping[str, tuple[str, Mapping[Any, Any]]] = {
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("model.roi.aligned", {"ROIAlignV2": True, "ROIAlign": False}),
    "MODEL.RESNETS.STRIDE_IN_1X1": ("model.backbone.stride_in", {True: "1x1", False: "3x3"}),
    "INPUT.FORMAT": ("model.backbone.pixel_stats.order", {"BGR": "bgr", "RGB": "rgb"}),
}
# What detres has no other of, by the layout where that decides.
_FIXED: Mapping[str, tuple[Any, ...]] = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN", "PanopticFPN"),
    "MODEL.LOAD_PROPOSALS": (False,),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator",),
    "MODEL.RPN.HEAD_NAME": ("StandardRPNHead",),
    "MODEL.RESNETS.NORM": ("FrozenBN", "BN", "SyncBN", "NaiveSyncBN", "naiveSyncBN", "nnSyncBN"),
    "MODEL.RESNETS.NUM_GROUPS": (1,),
    "MODEL.RESNETS.WIDTH_PER_GROUP": (64,),
    "MODEL.RESNETS.STEM_OUT_CHANNELS": (64,),
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": ([False] * 4,),
    "MODEL.FPN.FUSE_TYPE": ("sum",),
    "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": (False,),
}
_FIXED_BY_LAYOUT: Mapping[LayoutName, Mapping[str, tuple[Any, ...]]] = {
    "c4": {
        "MODEL.BACKBONE.NAME": ("build_resnet_backbone",),
        "MODEL.RESNETS.RES5_DILATION": (1,),
        "MODEL.RPN.IN_FEATURES": (["res4"],),
        "MODEL.ROI_HEADS.NAME": ("Res5ROIHeads",),
        "MODEL.ROI_HEADS.IN_FEATURES": (["res4"],),
    },
    "dc5": {
        "MODEL.BACKBONE.NAME": ("build_resnet_backbone",),
        "MODEL.RESNETS.RES5_DILATION": (2,),
        "MODEL.RPN.IN_FEATURES": (["res5"],),
        "MODEL.ROI_HEADS.NAME": ("StandardROIHeads",),
        "MODEL.ROI_HEADS.IN_FEATURES": (["res5"],),
        "MODEL.ROI_BOX_HEAD.NAME": ("FastRCNNConvFCHead",),
    },
    "fpn": {
        "MODEL.BACKBONE.NAME": ("build_resnet_fpn_backbone",),
        "MODEL.RESNETS.RES5_DILATION": (1,),
        "MODEL.FPN.IN_FEATURES": (["res2", "res3", "res4", "res5"],),
        "MODEL.RPN.IN_FEATURES": (["p2", "p3", "p4", "p5", "p6"],),
        "MODEL.ROI_HEADS.NAME": ("StandardROIHeads",),
        "MODEL.ROI_HEADS.IN_FEATURES": (["p2", "p3", "p4", "p5"],),
        "MODEL.ROI_BOX_HEAD.NAME": ("FastRCNNConvFCHead",),
    },
}
# Keys of versions before it was published, whose settings lay elsewhere.
_OF_EARLY_VERSIONS = ("MODEL.WEIGHT", "MODEL.RPN.ANCHOR_SIZES", "MODEL.RPN_HEAD.NAME")


@dataclass(frozen=True)
class Detectron2Config:
    """A config with what it builds on. where: the file, for messages. values: nested, as YAML has them."""

    where: str
    values: Mapping[str, Any]

    @classmethod
    def from_file(cls, path: Path) -> Detectron2Config:
        """Raises ConfigError where it is no config of detectron2's, or one of its bases is not there."""
        if path.suffix == ".py":
            raise ConfigError(f"{path}: Python is never run; {_WHOLE}")
        return cls(str(path), _with_bases(path, ()))

    def get(self, key: str) -> Any:
        """The value under a dotted key, decoded as detectron2 does; None where it is not stated."""
        value: Any = self.values
        for part in key.split("."):
            value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        return None if value is _ABSENT else _decoded(plain(value, f"{self.where}: {key}"))

    @property
    def stands_alone(self) -> bool:
        """Whether it says which model it is of, so that what it leaves out is detectron2's default.

        A few keys alone are of one of the zoo's models, whatever its layout.
        """
        return self.get("MODEL.BACKBONE.NAME") is not None

    def layers(self, layout: LayoutName, *, has_bottlenecks: bool, over: Sequence[Layer] = ()) -> list[Layer]:
        """What it says in our keys, each named by theirs. over: what will be laid over it.

        Raises ConfigError for what detres does not compute.
        """
        self._refuse_others(layout)
        if self.get("INPUT.MIN_SIZE_TEST") == 0 and asked(over, "data.shortest_side") is None:
            raise ConfigError(
                f"{self.where}: INPUT.MIN_SIZE_TEST is 0, by which detectron2 resizes nothing; detres brings every "
                "image to a size: say which with data.shortest_side=…"
            )
        most = self._number("TEST.DETECTIONS_PER_IMAGE")
        if isinstance(most, int | float) and most < 1 and asked(over, "test.max_detections") is None:
            raise ConfigError(
                f"{self.where}: TEST.DETECTIONS_PER_IMAGE is {most}, by which detectron2 keeps every detection; detres "
                "keeps a number of them: say which with test.max_detections=…"
            )
        found = [layer for layer in self._layers(layout) if layer is not None]
        return found if has_bottlenecks else [each for each in found if "STRIDE_IN_1X1" not in each.source]

    def contradictions(self, by_weights: Mapping[str, Any]) -> list[str]:
        """Of values that the weights give away, by detectron2's keys: those that it states otherwise."""
        stated = {key: self.get(key) for key in by_weights}
        return [
            f"{key} is {shown(value)}, and {by_weights[key]} by the weights"
            for key, value in stated.items()
            if value is not None and value != by_weights[key]
        ]

    def _layers(self, layout: LayoutName) -> Iterator[Layer | None]:
        for theirs, ours in SAME.items():
            yield self._layer(theirs, ours, self._number(theirs))
        for theirs, (ours, values) in NAMED.items():
            stated = self.get(theirs)
            if stated is not None and (not isinstance(stated, str | bool) or stated not in values):
                raise ConfigError(
                    f"{self.where}: {theirs} is {shown(stated)}; detres has {' or '.join(map(str, values))}"
                )
            yield self._layer(theirs, ours, None if stated is None else values[stated])
        yield self._layer("MODEL.ANCHOR_GENERATOR.SIZES", "model.anchors.sizes", self._sizes(layout))
        yield self._layer("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "model.anchors.ratios", self._ratios())
        if layout == "c4":
            theirs = "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"
            yield self._layer(theirs, "model.roi.pool", self._number(theirs))
        if layout == "fpn" and self.stands_alone and self.get("MODEL.RPN.PRE_NMS_TOPK_TEST") is None:
            yield self._default("model.rpn.pre_nms_test", 6000)

    def _layer(self, theirs: str, ours: str, value: Any) -> Layer | None:
        return None if value is None else layer_of(f"{Path(self.where).name}, {theirs}", ours.split("."), value)

    def _default(self, ours: str, value: Any) -> Layer:
        return layer_of(f"detectron2's default, which {Path(self.where).name} leaves", ours.split("."), value)

    def _number(self, key: str) -> Any:
        value = self.get(key)
        parts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(v, int | float) and not isinstance(v, bool) for v in parts):
            raise ConfigError(f"{self.where}: {key} is {shown(value)}, expected numbers")
        return value

    def _sizes(self, layout: LayoutName) -> list[list[float]] | None:
        """One list a level; a single one is every level's."""
        levels, key = 5 if layout == "fpn" else 1, "MODEL.ANCHOR_GENERATOR.SIZES"
        lists = self._lists(key)
        if lists is None:
            return [[32, 64, 128, 256, 512]] * levels if self.stands_alone else None
        if len(lists) not in (1, levels):
            raise ConfigError(f"{self.where}: {key} has {len(lists)} lists; {layout} has {levels} levels")
        return lists if len(lists) == levels else lists * levels

    def _ratios(self) -> list[float] | None:
        key = "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"
        lists = self._lists(key)
        if lists and any(each != lists[0] for each in lists):
            raise ConfigError(f"{self.where}: {key} differ by level; detres has the same ratios on every level")
        return lists[0] if lists else None

    def _lists(self, key: str) -> list[list[float]] | None:
        value = self.get(key)
        if value is None:
            return None
        lists = value if isinstance(value, list) and all(isinstance(each, list) for each in value) else [value]
        if not lists or not all(
            isinstance(each, list)
            and each
            and all(isinstance(v, int | float) and not isinstance(v, bool) for v in each)
            for each in lists
        ):
            raise ConfigError(f"{self.where}: {key} is {shown(value)}, expected lists of numbers")
        return lists

    def _refuse_others(self, layout: LayoutName) -> None:
        for key in _OF_EARLY_VERSIONS:
            if self.get(key) is not None:
                raise ConfigError(f"{self.where}: has {key}, as before detectron2 was published; {_WHOLE}")
        problems = []
        for key, known in {**_FIXED, **_FIXED_BY_LAYOUT[layout]}.items():
            value = self.get(key)
            if value is not None and value not in known:
                wanted = " or ".join(str(each) for each in known[:3])
                problems.append(f"{key} is {shown(value)}, expected {wanted}")
        if problems:
            raise ConfigError(
                f"{self.where}: not the config of these weights ({layout}), or of what detres does not compute: "
                f"{'; '.join(problems)}"
            )


_WHOLE = "give the config.yaml that detectron2's training leaves in its output folder, which is whole"


def is_detectron2s(path: Path) -> bool:
    """Whether a file that nobody named looks like one of its configs."""
    try:
        values = read_yaml_1_1(read_config_file(path), str(path))
    except ConfigError:
        return False
    model = values.get("MODEL") if isinstance(values, Mapping) else None
    return isinstance(model, Mapping) and all(isinstance(key, str) and key.isupper() for key in values)


def _with_bases(path: Path, above: tuple[Path, ...]) -> Mapping[str, Any]:
    """The file's values over those of its _BASE_."""
    values = read_yaml_1_1(read_config_file(path), str(path))
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{path}: no config of detectron2's, which has groups of keys such as MODEL")
    if "MODEL" not in values and "_BASE_" not in values and not {"INPUT", "TEST"} & values.keys():
        lazy = (
            "a lazy config, which only detectron2 itself can build" if "model" in values else "no key of detectron2's"
        )
        raise ConfigError(f"{path}: {lazy}; {_WHOLE}")
    bases = plain(values.get("_BASE_", []), f"{path}: _BASE_")
    merged: Mapping[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases or []:
        file = _base_file(base, path)
        if file.resolve() in (*above, path.resolve()) or len(above) >= _MOST_BASES:
            raise ConfigError(f"{path}: its _BASE_ {base} builds on the file itself, or on more than {_MOST_BASES}")
        merged = _merged(merged, _with_bases(file, (*above, path.resolve())))
    return _merged(merged, {key: value for key, value in values.items() if key != "_BASE_"})


def _base_file(base: Any, path: Path) -> Path:
    if not isinstance(base, str) or "://" in base:
        raise ConfigError(f"{path}: its _BASE_ is {shown(base)}, and nothing is downloaded; {_WHOLE}")
    file = path.parent / Path(base).expanduser()
    if not file.is_file():
        raise ConfigError(f"{path}: its _BASE_ is {base}, and {file} is not there; put it there, or {_WHOLE}")
    return file


def _merged(under: Mapping[str, Any], over: Mapping[str, Any], depth: int = 0) -> Mapping[str, Any]:
    """Groups key by key. depth: configs have four levels of groups; YAML may have groups that contain themselves."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and depth < 8:
            value = _merged(below, value, depth + 1)
        merged[key] = value
    return merged


def _decoded(value: Any) -> Any:
    """Text that is a literal of Python's is that literal to detectron2: (10.0, 10.0, 5.0, 5.0), 1e-3."""
    if not isinstance(value, str):
        return value
    try:
        return plain(ast.literal_eval(value), value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, ConfigError):
        return value
