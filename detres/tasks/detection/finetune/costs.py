"""What a run's time goes to: pictures it learns from, and evaluations on the way, which get a small share of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

_SHARE = 0.1
"""Of the time of learning that evaluations take, but for one at the end at least."""
_MOST = 25


@dataclass(frozen=True)
class Costs:
    """learning: seconds of training, for a picture. evaluating: seconds of one evaluation; 0 where nothing is."""

    learning: float
    evaluating: float

    def evaluations(self, pictures: float) -> int:
        """How many of them a run that learns from so many pictures can have; one at least."""
        if not self.evaluating:
            return _MOST
        return min(max(int(_SHARE * pictures * self.learning / self.evaluating + 1e-9), 1), _MOST)

    def affordable(self, seconds: float) -> int:
        """Pictures that a run of so many seconds learns from, its evaluations among them; not above 0 for too few."""
        one, share, most = seconds - self.evaluating, seconds / (1 + _SHARE), seconds - _MOST * self.evaluating
        return math.floor(max(min(one, share), most) / self.learning)

    def of(self, pictures: float) -> float:
        """Seconds of a run that learns from so many."""
        return pictures * self.learning + self.evaluations(pictures) * self.evaluating
