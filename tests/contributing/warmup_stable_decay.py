"""The recipe's rate for most of the run, then straight down to end_factor of it; rates.along warms it up.

Source: Hu et al. 2024, "MiniCPM", section 4.
"""

from __future__ import annotations

from detres.errors import ConfigError
from detres.training.schedules import Rates, Schedule


def warmup_stable_decay(rates: Rates, *, decay_share: float = 0.2, end_factor: float = 0.0) -> Schedule:
    """decay_share: of the run's steps, the last ones, over which the rate falls.

    Raises ConfigError where it is no share.
    """
    if not 0.0 < decay_share <= 1.0:
        raise ConfigError(
            f"schedule.options.decay_share is {decay_share}; it takes a share of the run, above 0 up to 1"
        )
    decay_steps = decay_share * rates.steps

    def curve(step: int) -> float:
        left = min(max(rates.steps - step, 0) / decay_steps, 1.0)
        return end_factor + (1.0 - end_factor) * left

    return rates.along(curve)
