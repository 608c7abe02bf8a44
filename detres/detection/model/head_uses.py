"""What a detector is used for beyond a plain test, and the one refusal where its RoI head cannot take part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from detres.errors import ConfigError

HeadUse = Literal["training", "global context", "export", "ensemble", "refinement", "voting", "maxout", "merging"]

_LEFT_OUT_BY: Mapping[HeadUse, str] = {
    "training": "train a detector with another head",
    "global context": "model.global_context=false leaves it out",
    "export": "export a detector with another head",
    "ensemble": "test each detector by itself",
    "refinement": "test.refine=0 leaves it out",
    "voting": "test.vote=none leaves it out",
    "maxout": "test.scales=[] leaves it out, and test.fusion=nms merges detections of several scales instead",
    "merging": "test.flip=false and test.scales=[] leave it out",
}


class StatesUses(Protocol):
    """unfit_for: what the head takes no part in, and why, to follow "because"."""

    @property
    def unfit_for(self) -> Mapping[HeadUse, str]: ...


def check_uses(head: StatesUses, uses: Iterable[HeadUse]) -> None:
    """Raise ConfigError, naming the head, the use and the way on, for the first use that the head is unfit for."""
    for use in uses:
        if use in head.unfit_for:
            raise ConfigError(
                f"{use} is asked for, and the RoI head {type(head).__name__} takes no part in it, because "
                f"{head.unfit_for[use]}; {_LEFT_OUT_BY[use]}"
            )
