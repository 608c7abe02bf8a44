"""CIFAR-10 as most PyTorch code trains it, written for comparison: PIL transforms in a DataLoader, float32, NCHW.

N images. Parameters carry the names that ours do, so that one's weights load into the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from detres.backbones.pixels import CIFAR10_STATS

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
NORMALIZED = T.Compose(
    [
        T.ToTensor(),
        T.Normalize(*([value / 255 for value in values] for values in (CIFAR10_STATS.mean, CIFAR10_STATS.std))),
    ]
)
AUGMENTED = T.Compose([T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), NORMALIZED])


class PlainBlock(nn.Module):
    """Two 3×3 convolutions, and the input beside them: every second cell of it, padded with zeros, where it is larger.

    The zeros stand behind the channels, as ours do; much code puts half of them before, which is the same work.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.extra = width - channels

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra)) if self.extra else x
        return F.relu(out + shortcut)


class PlainResNet(nn.Module):
    """The CIFAR net of 6 · blocks + 2 layers: normalized images (N, 3, 32, 32) -> logits (N, classes)."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _layer(16, 16, blocks, stride=1)
        self.layer2 = _layer(16, 32, blocks, stride=2)
        self.layer3 = _layer(32, 64, blocks, stride=2)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.avg_pool2d(out, out.size(3))
        return self.fc(out.view(out.size(0), -1))


def _layer(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = PlainBlock(channels, width, stride)
    return nn.Sequential(first, *(PlainBlock(width, width, 1) for _ in range(blocks - 1)))


class PlainCifar(Dataset[tuple[Tensor, int]]):
    """What torchvision.datasets.CIFAR10 holds and does: uint8 RGB (I, 32, 32, 3), a PIL image for each access."""

    def __init__(self, data: NDArray, targets: NDArray) -> None:
        self.data, self.targets = data, targets.tolist()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return AUGMENTED(Image.fromarray(self.data[index])), self.targets[index]


def plain_loader(data: NDArray, targets: NDArray, *, batch: int, workers: int, pin_memory: bool) -> DataLoader:
    """Shuffled batches of float32 (N, 3, 32, 32) and labels; workers stay from one epoch to the next."""
    return DataLoader(
        PlainCifar(data, targets),
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
    )


def plain_optimizer(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)


def plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Forward, cross-entropy, backward, update; the loss before the update, on its device."""
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
