"""What each rank does of a config's training and of its tests."""

from __future__ import annotations

from detres.config.loading import AnyConfig
from detres.data.loading.samplers import Share, split_batch
from detres.distributed import rank, world_size
from detres.errors import ConfigError


def training_share(config: AnyConfig) -> tuple[Share, int]:
    """This rank's, and how many of its micro-batches make a step. Raises ConfigError where ranks get unequal ones."""
    training = config.training
    share = Share(training.batch, training.per_device_batch, training.seed, rank(), world_size())
    try:
        images, micro = split_batch(share.batch, share.world, share.per_device_batch)
    except ValueError as error:
        raise ConfigError(f"training.batch={share.batch}, per_device_batch={share.per_device_batch}: {error}") from None
    return share, images // micro


def test_share(config: AnyConfig) -> Share:
    return Share(config.test.batch, rank=rank(), world=world_size())
