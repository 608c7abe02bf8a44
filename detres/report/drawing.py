"""Detections on a picture, ground truth beside predictions, and sheets of such pictures.

H×W pixels of a picture, K classes, M objects, D detections. Pictures are uint8 (H, W, 3) RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from detres.evaluation.flat_boxes import FlatDetections, FlatObjects
from detres.evaluation.voc_ap import FALSE_ALARM, HIT, NEITHER, judge_detections
from detres.report.canvas import INK, WHITE, Canvas, LineStyle, Rgb, class_colour, shortened
from detres.report.fonts import font, legible
from detres.structures import Detections, DetectionTarget

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class _Stroke:
    """How boxes of one kind are drawn."""

    name: str
    colour: Rgb
    style: LineStyle
    tint: float = 0.0


# Told apart by hue, by lightness (for eyes that cannot tell red from green) and by line; mistakes are tinted as well.
_HIT = _Stroke("hit", (0, 208, 156), "solid")
_MISS = _Stroke("miss", (255, 200, 0), "dotted", tint=0.14)
_FALSE_ALARM = _Stroke("false alarm", (232, 34, 72), "dashed", tint=0.14)
_IGNORED = _Stroke("ignored", (186, 192, 200), "dotted")


def draw_detections(
    rgb: Picture, detections: Detections, class_names: Sequence[str], *, min_score: float = 0.5, scale: float = 1.0
) -> Picture:
    """Every detection of at least min_score as a box of its class's colour, with name and score.

    Detections lie in the picture's pixels. scale: the result is this many times the picture, for small ones.
    """
    canvas = Canvas(rgb, scale=scale)
    shown = detections.above(min_score).to("cpu")
    # Worst first, so that the best lie on top and get the best places for their labels.
    for i in shown.scores.argsort(stable=True).tolist():
        label = int(shown.labels[i])
        text = f"{class_names[label]} {shown.scores[i]:.2f}"
        canvas.box(tuple(shown.boxes[i].tolist()), class_colour(label), label=text)
    return canvas.pixels()


def draw_objects(rgb: Picture, target: DetectionTarget, class_names: Sequence[str]) -> Picture:
    """Every object as a box of its class's colour with its name; what is ignored in grey dots. Nobody scored them."""
    canvas, target = Canvas(rgb), target.to("cpu")
    for box, label, ignored in zip(target.boxes, target.labels.tolist(), target.ignore.tolist(), strict=True):
        stroke = _IGNORED if ignored else _Stroke("object", class_colour(label), "solid")
        _draw_stroke(canvas, box, stroke, class_names[label])
    return canvas.pixels()


def draw_comparison(
    rgb: Picture,
    target: DetectionTarget,
    detections: Detections,
    class_names: Sequence[str],
    *,
    min_score: float = 0.5,
    min_iou: float = 0.5,
    min_side: int = 400,
    max_side: int = 2000,
) -> Picture:
    """Ground truth on the left, predictions on the right, hits, misses and false alarms told apart, a legend below.

    target and detections lie in the picture's pixels. Detections of at least min_score are judged as PASCAL VOC does,
    at IoU min_iou (see evaluation/voc_ap.py). min_side: pictures whose shorter side is less are enlarged to it, as far
    as the longer one stays below max_side.
    """
    shown = detections.above(min_score).to("cpu")
    target = target.to("cpu")
    verdicts, found = _judge(target, shown, min_iou)
    scale = max(1.0, min(min_side / min(rgb.shape[:2]), max_side / max(rgb.shape[:2])))
    left, right = Canvas(rgb, scale=scale), Canvas(rgb, scale=scale)
    object_strokes = [
        _IGNORED if ignored else _HIT if hit else _MISS
        for ignored, hit in zip(target.ignore.tolist(), found.tolist(), strict=True)
    ]
    # What was missed comes last and lies on top.
    for i in sorted(range(len(object_strokes)), key=lambda i: object_strokes[i] is _MISS):
        _draw_stroke(left, target.boxes[i], object_strokes[i], class_names[int(target.labels[i])])
    stroke_of = {HIT: _HIT, FALSE_ALARM: _FALSE_ALARM, NEITHER: _IGNORED}
    for i in shown.scores.argsort(stable=True).tolist():
        text = f"{class_names[int(shown.labels[i])]} {shown.scores[i]:.2f}"
        _draw_stroke(right, shown.boxes[i], stroke_of[int(verdicts[i])], text)
    counts = {
        _HIT: int((verdicts == HIT).sum()),
        _MISS: object_strokes.count(_MISS),
        _FALSE_ALARM: int((verdicts == FALSE_ALARM).sum()),
    }
    if target.ignore.any():
        counts[_IGNORED] = int(target.ignore.sum())
    titles = ("ground truth", f"predictions, score ≥ {min_score:.2g}")
    return _side_by_side(left.pixels(), right.pixels(), titles, counts)


def picture_sheet(
    pictures: Sequence[Picture],
    columns: int,
    *,
    title: str = "",
    captions: Sequence[str] = (),
    width: int | None = None,
) -> Picture:
    """Pictures in rows on white, those of a row equally high, with a title above and a caption below each.

    columns: pictures a row. captions: one a picture, or none at all. width: pixels of the sheet; None: as wide as the
    pictures are, at most 2400.
    Raises ValueError where there is no picture or where captions do not match the pictures.
    """
    if not pictures or columns < 1 or (captions and len(captions) != len(pictures)):
        raise ValueError(f"{len(pictures)} pictures, {len(captions)} captions and {columns} columns make no sheet")
    columns = min(columns, len(pictures))
    width = width or min(2400, columns * max(picture.shape[1] for picture in pictures))
    gap, text_size = max(8, width // 100), max(11, width // (22 * columns + 40))
    rows = [list(range(i, min(i + columns, len(pictures)))) for i in range(0, len(pictures), columns)]
    cells = [cell for row in rows for cell in _equally_high([pictures[i] for i in row], columns, width, gap)]
    heights = [cells[row[0]].height for row in rows]
    title_font, caption_font = font(round(1.5 * text_size), bold=True), font(text_size)
    caption_height = round(1.7 * text_size) if captions else 0
    top = gap + (round(1.8 * title_font.size) if title else 0)
    sheet = Image.new("RGB", (width, top + sum(heights) + len(rows) * (gap + caption_height)), WHITE)
    draw = ImageDraw.Draw(sheet)
    if title:
        title, face = legible(title, title_font)
        text = shortened(title, face, width - 2 * gap)
        draw.text((gap, (gap + top) / 2), text, font=face, fill=INK, anchor="lm")
    for row, height in zip(rows, heights, strict=True):
        x = gap
        for i in row:
            sheet.paste(cells[i], (x, top))
            if captions:
                caption, face = legible(captions[i], caption_font)
                text = shortened(caption, face, cells[i].width)
                draw.text((x, top + height + caption_height / 2), text, font=face, fill=INK, anchor="lm")
            x += cells[i].width + gap
        top += height + caption_height + gap
    return np.array(sheet)


def _equally_high(pictures: list[Picture], columns: int, width: int, gap: int) -> list[Image.Image]:
    """One row of the sheet: pictures scaled to one height at which a full row spans the sheet's width."""
    shapes = [picture.shape[1] / picture.shape[0] for picture in pictures]
    # A last row that is not full is as high as if its places were taken by more of the same.
    total = sum(shapes) * columns / len(pictures)
    # A row of needles alone would be higher than any file format takes.
    height = min(max(1, int((width - (columns + 1) * gap) / total)), 4 * width)
    sizes = [(max(1, int(shape * height)), height) for shape in shapes]
    images = [Image.fromarray(picture) for picture in pictures]
    return [
        image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
        for image, size in zip(images, sizes, strict=True)
    ]


def _draw_stroke(canvas: Canvas, box: Tensor, stroke: _Stroke, label: str) -> None:
    canvas.box(tuple(box.tolist()), stroke.colour, style=stroke.style, tint=stroke.tint, label=label)


def _judge(target: DetectionTarget, shown: Detections, min_iou: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Verdicts on the detections (D,), and which objects were found (M,)."""
    boxes = _xywh(target.boxes.double().numpy())
    objects = FlatObjects(
        image=np.zeros(len(target), np.int64),
        label=target.labels.numpy(),
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        ignore=target.ignore.numpy(),
    )
    flat = FlatDetections(
        image=np.zeros(len(shown), np.int64),
        label=shown.labels.numpy(),
        boxes=_xywh(shown.boxes.double().numpy()),
        scores=shown.scores.double().numpy(),
    )
    verdicts, object_of = judge_detections(objects, flat, min_iou)
    found = np.zeros(len(target), np.bool_)
    found[object_of[verdicts == HIT]] = True
    return verdicts, found


def _xywh(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _side_by_side(left: Picture, right: Picture, titles: tuple[str, str], counts: dict[_Stroke, int]) -> Picture:
    """Two pictures of one size with their titles above, and below them how many boxes there are of each kind."""
    height, width = left.shape[:2]
    size = max(12, round((height * width) ** 0.5 / 34))
    gap, band = max(4, size // 2), round(1.9 * size)
    sheet = Image.new("RGB", (2 * width + gap, height + 2 * band), WHITE)
    draw = ImageDraw.Draw(sheet)
    for picture, title, x in ((left, titles[0], 0), (right, titles[1], width + gap)):
        sheet.paste(Image.fromarray(picture), (x, band))
        text = shortened(title, font(size, bold=True), width - size)
        draw.text((x + size // 2, band / 2), text, font=font(size, bold=True), fill=INK, anchor="lm")
    _draw_legend(sheet, (size // 2, height + band), size, counts)
    return np.array(sheet)


def _draw_legend(sheet: Image.Image, corner: tuple[int, int], size: int, counts: dict[_Stroke, int]) -> None:
    """Samples of the lines with names and counts in one row, as far as there is room."""
    band = sheet.height - corner[1]
    texts = {stroke: f"{stroke.name} {count}" for stroke, count in counts.items()}
    sample, space = round(2.2 * size), round(0.5 * size)
    room = sheet.width - 2 * corner[0]
    full = sum(sample + 3 * space + font(size).getlength(text) for text in texts.values())
    # On narrow pictures everything shrinks together.
    if full > room:
        shrink = room / full
        size, sample, space = max(8, int(size * shrink)), int(sample * shrink), int(space * shrink)
    x = float(corner[0])
    for stroke, text in texts.items():
        swatch_height = round(size * 1.1)
        swatch = Canvas(np.full((swatch_height, max(1, sample), 3), 255, np.uint8))
        swatch.line_width = max(2, size // 6)
        swatch.box((0, 0, sample, swatch_height), stroke.colour, style=stroke.style, tint=stroke.tint)
        sheet.paste(Image.fromarray(swatch.pixels()), (round(x), corner[1] + (band - swatch_height) // 2))
        x += sample + space
        draw = ImageDraw.Draw(sheet)
        draw.text((x, corner[1] + band / 2), text, font=font(size), fill=INK, anchor="lm")
        x += font(size).getlength(text) + 2 * space
