"""DIoU, a box loss, and focal, an objectness loss: signatures as in detres/detection/model/named_losses.py.

P boxes, M samples.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import distance_box_iou_loss

from detres.boxes import CodecWeights, decode_boxes


def diou(deltas: Tensor, references: Tensor, boxes: Tensor, codec_weights: CodecWeights) -> Tensor:
    """On the decoded boxes: 1 - IoU + the distance of the centres, squared, in diagonals of the box around both.

    Source: Zheng et al. 2020, "Distance-IoU loss", equation 7.
    """
    return distance_box_iou_loss(decode_boxes(deltas, references, codec_weights), boxes, reduction="sum")


def focal(logits: Tensor, is_object: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Cross-entropy, times the chance given to the wrong answer to the power of gamma; objects count alpha.

    Source: Lin et al. 2017, "Focal loss for dense object detection", equation 5.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, is_object, reduction="none")
    wrong = (is_object - logits.sigmoid()).abs()
    share = alpha * is_object + (1.0 - alpha) * (1.0 - is_object)
    return (share * wrong**gamma * cross_entropy).sum()
