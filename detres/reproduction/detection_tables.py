"""The paper's tables of detectors: arXiv:1512.03385, tables 7 to 11; table 9 on other sets as well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from detres.config.detection_schema import Config
from detres.config.loading import load_config
from detres.errors import ConfigError
from detres.reproduction.rows import SHORT, Column, DetectionMetric, Published, Row, Table, TestSeconds, row

_PAPERS_SIDE = 600
_PAPERS_SCALES = (200, 400, 600, 800, 1000)
_SECONDS = Column(SHORT["seconds"], TestSeconds())
_AP = Column(SHORT["ap"], DetectionMetric("AP"))
_COCO = (Column(SHORT["ap50"], DetectionMetric("AP50")), _AP, _SECONDS)
_VOC = (Column(SHORT["ap50"], DetectionMetric("mAP50")), _AP, _SECONDS)
_VOC_2007 = (Column(SHORT["voc07"], DetectionMetric("mAP50_07")), _AP, _SECONDS)
_VOC_2012 = (Column(SHORT["voc12"], DetectionMetric("mAP50")), _AP, _SECONDS)

_SERVER = (
    "VOC 2012's test has annotations on its evaluation server alone: a row that is tested on it has no figure, "
    "and its submission is written."
)

_REFINED = ("test.refine=1",)


def _with_scales(side: int) -> tuple[str, ...]:
    """Refined, and at the paper's scales, in proportion to the shorter side that a detector is trained at."""
    return (*_REFINED, f"test.scales={list(_scales(side))}")


def _scales(side: int) -> tuple[int, ...]:
    return tuple(round(scale * side / _PAPERS_SIDE) for scale in _PAPERS_SCALES)


def _table9_rows(base: str, context: str, side: int, begins_with: str | None = None) -> tuple[Row, ...]:
    scaled = _with_scales(side)
    return (
        row("baseline", base, ap50=48.4, ap=27.2),
        row("+ box refinement", base, tested=_REFINED, ap50=49.9, ap=29.9),
        row(
            "+ global context",
            context,
            tested=_REFINED,
            begins_with=begins_with,
            ap50=Published(51.1, "51.1 (trainval, test-dev: 53.3)"),
            ap=Published(30.0, "30.0 (trainval, test-dev: 32.2)"),
        ),
        row(
            "+ multi-scale testing",
            context,
            tested=scaled,
            begins_with=begins_with,
            ap50=Published(53.8, "53.8 (trainval, test-dev: 55.7)"),
            ap=Published(32.5, "32.5 (trainval, test-dev: 34.9)"),
        ),
        row(
            "ensemble of 3",
            f"{context} {context} {context}",
            tested=scaled,
            begins_with=begins_with,
            ap50=Published(59.0, "59.0 (trainval, test-dev)"),
            ap=Published(37.4, "37.4 (trainval, test-dev)"),
        ),
    )


_STEPS = (
    ("baseline", "+ box refinement"),
    ("+ box refinement", "+ global context"),
    ("+ global context", "+ multi-scale testing"),
    ("+ multi-scale testing", "ensemble of 3"),
)
_CUMULATIVE = "Each row has what the rows before it have; the ensemble is of seeds 0, 1 and 2 of the row before."

_TABLE9 = Table(
    "Table 9: what is made of Faster R-CNN, on COCO val",
    _COCO,
    _table9_rows("coco_r101", "coco_r101_context", _PAPERS_SIDE),
    contrasts=_STEPS,
    notes=(_CUMULATIVE, f"Shorter sides of multi-scale testing: {', '.join(map(str, _PAPERS_SCALES))}."),
)

_TABLE7 = Table(
    "Table 7: VGG-16 and ResNet-101 on VOC",
    (_VOC_2007[0], *_VOC_2012),
    (
        row("VGG-16, 07+12 to 07 test", "voc0712_vgg16", voc07=73.2),
        row("ResNet-101, 07+12 to 07 test", "voc0712_r101", voc07=76.4),
        row("VGG-16, 07++12 to 12 test", "voc0712pp_vgg16", voc12=70.4),
        row("ResNet-101, 07++12 to 12 test", "voc0712pp_r101", voc12=73.8),
    ),
    contrasts=(("VGG-16, 07+12 to 07 test", "ResNet-101, 07+12 to 07 test"),),
    notes=(_SERVER,),
)

_TABLE8 = Table(
    "Table 8: VGG-16 and ResNet-101 on COCO val",
    _COCO,
    (row("VGG-16", "coco_vgg16", ap50=41.5, ap=21.2), row("ResNet-101", "coco_r101", ap50=48.4, ap=27.2)),
    contrasts=(("VGG-16", "ResNet-101"),),
)

_FROM_COCO = (
    "The last row has box refinement, global context and multi-scale testing, and begins with table 9's detector with "
    "global context, of COCO.",
    "The paper prints the classes as well; detres's are in the metrics.json of each run's eval folder.",
)

_TABLE10 = Table(
    "Table 10: VOC 2007 test",
    _VOC_2007,
    (
        row("VGG-16, 07+12", "voc0712_vgg16", voc07=73.2),
        row("ResNet-101, 07+12", "voc0712_r101", voc07=76.4),
        row(
            "ResNet-101 with all, COCO and 07+12",
            "voc0712_r101_coco",
            tested=_with_scales(_PAPERS_SIDE),
            begins_with="coco_r101_context",
            voc07=85.6,
        ),
    ),
    notes=_FROM_COCO,
)

_TABLE11 = Table(
    "Table 11: VOC 2012 test",
    _VOC_2012,
    (
        row("VGG-16, 07++12", "voc0712pp_vgg16", voc12=70.4),
        row("ResNet-101, 07++12", "voc0712pp_r101", voc12=73.8),
        row(
            "ResNet-101 with all, COCO and 07++12",
            "voc0712pp_r101_coco",
            tested=_with_scales(_PAPERS_SIDE),
            begins_with="coco_r101_context",
            voc12=83.8,
        ),
    ),
    notes=(_SERVER, *_FROM_COCO),
)

DETECTION_TABLES: Mapping[str, Table] = {
    "table7": _TABLE7,
    "table8": _TABLE8,
    "table9": _TABLE9,
    "table10": _TABLE10,
    "table11": _TABLE11,
}


def improvements_of(cfg: str) -> Table:
    """Table 9 of another detector, on the set of its config: CFG, and CFG_context, which begins with CFG's run.

    cfg: a config's name, or a file. Raises ConfigError where either is none of a detector's.
    """
    base, context = _detector(cfg), _context_of(cfg)
    side = base.data.shortest_side[-1]
    return Table(
        f"Table 9: what is made of Faster R-CNN, {base.recipe}",
        _COCO if base.data.format == "coco" else _VOC,
        _table9_rows(cfg, context, side, begins_with=cfg),
        contrasts=_STEPS,
        notes=(
            _CUMULATIVE,
            f"The paper's figures are of ResNet-101 on COCO, detres's of {base.recipe} on its own set: what can be "
            "compared is how the rows of a column differ.",
            f"The detectors with global context begin with the weights of {base.recipe}, seed 0.",
            f"Shorter sides of multi-scale testing: the paper's, in proportion to {side}: "
            f"{', '.join(map(str, _scales(side)))}.",
        ),
    )


def _context_of(cfg: str) -> str:
    """The config beside CFG that has global context."""
    is_file = cfg.endswith((".yaml", ".yml"))
    context = str(Path(cfg).with_stem(f"{Path(cfg).stem}_context")) if is_file else f"{cfg}_context"
    try:
        if _detector(context).model.global_context:
            return context
    except ConfigError as error:
        raise ConfigError(
            f"--cfg {cfg}: rows with global context are trained by the config {context}, which cannot be had: {error}\n"
            f"write it as {cfg} is, with model.global_context: true and a schedule that goes on from a trained {cfg}"
        ) from None
    raise ConfigError(f"--cfg {cfg}: {context} has no global context; set model.global_context: true in it")


def _detector(cfg: str) -> Config:
    config = load_config(cfg)
    if not isinstance(config, Config):
        raise ConfigError(f"--cfg {cfg}: this is a {config.task} config; table9 is of detectors, such as bccd_r50_fpn")
    return config
