"""What must be known of weights before they are used, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from detres.backbones.architectures import BACKBONES, Pool, Shortcut, ShortcutPadding, StrideIn, VggArchitecture
from detres.backbones.pixels import MSRA_STATS
from detres.config.problems import in_a_line
from detres.errors import WeightsError, kind_of
from detres.files.strict_json import parse_json
from detres.structures import PixelStats

MSRA_EPS = 1e-5


@dataclass(frozen=True)
class WeightsMetadata:
    """How the network that weights belong to was built, fed and trained.

    architecture: a name of list_backbones() or timm/NAME. stride_in: which convolution of a bottleneck strides.
    pool: "torch" pads the first max pool, "caffe" rounds its size up instead. norm_eps: of batch norm.
    shortcut: None is the architecture's own. recipe: what they were trained by, for people. measured: figures by name
    on that recipe's validation images, such as top1_error in 0..1. shortcut_padding: where shortcuts A have their
    zeros; None: not known, and taken for "end".
    """

    architecture: str
    pixel_stats: PixelStats
    stride_in: StrideIn = "3x3"
    pool: Pool = "torch"
    norm_eps: float = 1e-5
    shortcut: Shortcut | None = None
    recipe: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    shortcut_padding: ShortcutPadding | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def form(self) -> str:
        """How the network is built where its name leaves that open, for people."""
        net = BACKBONES.get(self.architecture)
        if isinstance(net, VggArchitecture):
            return f", norm eps {self.norm_eps:g}" if net.batch_norm else ""
        padded = ", shortcuts padded on both sides" if self.shortcut_padding == "both" else ""
        return f", stride in the {self.stride_in}, {self.pool} pool, norm eps {self.norm_eps:g}{padded}"

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Self:
        """Raises WeightsError, naming `where`, for anything but what to_json writes; defaults may be left out."""
        try:
            values = parse_json(text)
            if not isinstance(values, dict):
                raise ValueError(f"got {kind_of(values)}, expected keys")
            if unknown := [name for name in values if name not in {each.name for each in fields(cls)}]:
                raise ValueError(f"{_short(unknown[0])} is unknown")
            values = {"architecture": values["architecture"]} | values
            stats = values.pop("pixel_stats")
            if not isinstance(stats, dict) or not all(isinstance(stats.get(key), list) for key in ("mean", "std")):
                raise ValueError(f"pixel_stats is {_short(stats)}; it takes mean, std and order")
            pixel_stats = PixelStats(tuple(stats["mean"]), tuple(stats["std"]), stats["order"])
            metadata = cls(pixel_stats=pixel_stats, **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            names, shown = ", ".join(each.name for each in fields(cls)), in_a_line(error)[:300]
            raise WeightsError(f"{where}: no metadata of weights ({shown}); its keys are {names}") from error
        metadata._check(where)
        return metadata

    def _check(self, where: str) -> None:
        choices: dict[str, tuple[Any, tuple[str | None, ...]]] = {
            "stride_in": (self.stride_in, ("1x1", "3x3")),
            "pool": (self.pool, ("torch", "caffe")),
            "shortcut": (self.shortcut, (None, "A", "B", "C", "plain")),
            "shortcut_padding": (self.shortcut_padding, (None, "end", "both")),
            "pixel_stats.order": (self.pixel_stats.order, ("rgb", "bgr")),
        }
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise WeightsError(f"{where}: {name} is {_short(value)}; it may be {' or '.join(map(str, allowed))}")
        mean, std = self.pixel_stats.mean, self.pixel_stats.std
        if len(mean) != 3 or len(std) != 3 or not all(map(_is_number, (*mean, *std))) or min(std) <= 0:
            raise WeightsError(f"{where}: pixel_stats takes three means and three stds above 0, on the 0..255 scale")
        if not _is_number(self.norm_eps) or not 0 <= self.norm_eps <= 1:
            raise WeightsError(f"{where}: norm_eps is {_short(self.norm_eps)}; it takes a number from 0 to 1")
        for name in ("architecture", "recipe"):
            if not isinstance(getattr(self, name), str):
                raise WeightsError(f"{where}: {name} is {_short(getattr(self, name))}; it takes text")
        if not isinstance(self.measured, dict) or not all(map(_is_number, self.measured.values())):
            raise WeightsError(f"{where}: measured is {_short(self.measured)}; it takes numbers by name")


@dataclass(frozen=True)
class LoadReport:
    """What became of the names in a weights file and of those in the model.

    source: file or tag. loaded: in both. missing: only in the model, which start from scratch. left_over: only in the
    file. norms: of each stage, as decided. notes: what was done differently from what the weights were trained with.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    metadata: WeightsMetadata
    norms: dict[str, str]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One line a fact, for people."""
        known = self.metadata
        stats = known.pixel_stats
        return [
            f"weights {self.source}: {known.architecture}{known.form()}, "
            f"pixels {stats.order} minus {stats.mean} over {stats.std}"
            + (f"; {known.recipe}" if known.recipe else "")
            + "".join(f", {name} {100 * value:.2f} %" for name, value in known.measured.items()),
            f"  loaded {len(self.loaded)}",
            f"  missing, from scratch: {_listed(self.missing)}",
            f"  left over in the file: {_listed(self.left_over)}",
            "  norms: " + (", ".join(f"{stage} {norm}" for stage, norm in self.norms.items()) or "none"),
            *(f"  note: {note}" for note in self.notes),
        ]

    def summary(self) -> str:
        return "\n".join(self.lines())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 100 else f"{shown[:100]}…"


def _listed(names: Sequence[str], most: int = 6) -> str:
    if not names:
        return "0"
    more = f", … ({len(names) - most} more)" if len(names) > most else ""
    return f"{len(names)}: {', '.join(names[:most])}{more}"


def msra_metadata(architecture: str) -> WeightsMetadata:
    """What holds for the three residual nets that their authors published."""
    recipe = "He et al. 2015, published Caffe weights"
    return WeightsMetadata(architecture, MSRA_STATS, stride_in="1x1", pool="caffe", norm_eps=MSRA_EPS, recipe=recipe)
