"""The max pool behind the first convolution, in its two forms.

N images, H×W cells.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from detres.backbones.architectures import Pool


def pool_stem(x: Tensor, pool: Pool) -> Tensor:
    """3×3 with stride 2: x (N, C, H, W), behind a ReLU, to about half its sides, at least one cell.

    torch: padded on all sides. caffe: not padded, with a last window that may reach over the edge.
    """
    if pool == "torch":
        return F.max_pool2d(x, 3, 2, padding=1)
    height, width = x.shape[-2:]
    if height < 2 or width < 2:
        # The map of a strip of an image may have one row, which no window fits; zeros change no maximum behind a ReLU.
        x = F.pad(x, (0, int(width < 2), 0, int(height < 2)))
    return F.max_pool2d(x, 3, 2, ceil_mode=True)
