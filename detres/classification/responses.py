"""How strongly each layer responds: the standard deviation of its output, as figure 7 of the paper shows it.

A *response* is the output of a convolution behind its norm and before what comes next, an activation or the addition of
the shortcut: of a residual block's last layer it is what the block adds. Projections of shortcuts are no layers of
their own. N images, L layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detres.backbones.network import Network
from detres.errors import ConfigError, DataError, WeightsError

_NORM = re.compile(r"(.*\.)?bn(\d+)$")


@dataclass(frozen=True)
class Responses:
    """layers: L names, from the image on. stds: L, over all images, channels and cells. images: how many."""

    layers: tuple[str, ...]
    stds: tuple[float, ...]
    images: int

    @property
    def mean(self) -> float:
        """Mean of the standard deviations."""
        return sum(self.stds) / len(self.stds)


def layer_responses(net: Network, batches: Iterable[Tensor]) -> Responses:
    """Run the net over batches of uint8 RGB (N, H, W, 3), on its device, in eval mode.

    The net's norms must still stand alone: in a folded one there is nothing to look at.
    Raises DataError where there is no image, WeightsError where a response is not finite, ConfigError for a net whose
    layers have no norms by a ResNet's names.
    """
    names = [name for name, _ in _norms(net)]
    if not names:
        raise ConfigError(
            f"responses are looked at behind the norms of a residual or plain net, which {net.name} is not"
        )
    found: dict[str, tuple[int, Tensor, Tensor]] = {}
    moments = dict.fromkeys(names, Moments())
    images = 0
    training = net.training
    net.eval()
    with torch.no_grad(), _watched(net, found):
        for pixels in batches:
            net.last_map(net.normalize(pixels.to(next(net.parameters()).device)))
            images += len(pixels)
            # One transfer for all layers; the sums go on in double precision.
            read = torch.stack([torch.stack(found[name][1:]) for name in names]).double().tolist()
            for name, (variance, mean) in zip(names, read, strict=True):
                moments[name] = moments[name].joined(Moments(found[name][0], mean, variance))
    net.train(training)
    if not images:
        raise DataError("there are no images to look at the layers' responses with")
    layers = tuple(_NORM.sub(r"\1conv\2", name) for name in names)
    stds = tuple(math.sqrt(moments[name].variance) for name in names)
    bad = [layer for layer, std in zip(layers, stds, strict=True) if not math.isfinite(std)]
    if bad:
        raise WeightsError(f"the response of {bad[0]} is not finite; the weights have diverged")
    return Responses(layers, stds, images)


@dataclass(frozen=True)
class Moments:
    """Count, mean and variance of some numbers."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def joined(self, other: Moments) -> Moments:
        """Those of both. Source: Chan, Golub & LeVeque 1979."""
        count = self.count + other.count
        apart = other.mean - self.mean
        share = other.count / count
        within = (1 - share) * self.variance + share * other.variance
        return Moments(count, self.mean + share * apart, within + share * (1 - share) * apart**2)


def _norms(net: Network) -> Iterator[tuple[str, nn.Module]]:
    """The norms of the net's layers in their order; those of projections have no such name."""
    yield from ((name, module) for name, module in net.named_modules() if _NORM.match(name))


@contextmanager
def _watched(net: Network, found: dict[str, tuple[int, Tensor, Tensor]]) -> Iterator[None]:
    """While it runs, every norm leaves the count, the variance and the mean of its last output in `found`."""

    def look(name: str, output: Tensor) -> None:
        # Now: the activation behind it overwrites the output.
        found[name] = (output.numel(), *torch.var_mean(output.float(), correction=0))

    handles = [
        module.register_forward_hook(lambda module, _, output, name=name: look(name, output))
        for name, module in _norms(net)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
