"""Randomness without state: every draw is a pure function of its place in the run.

A place is named by integers: (seed, what is drawn, step or epoch, position in the global batch, repeat). No
global generator is read, so a run does not depend on the number of workers, and a resume at any step continues
bit for bit.
"""

from __future__ import annotations

import enum
import hashlib
import math

import numpy as np
import torch
from torch import Tensor


class Purpose(enum.IntEnum):
    """What a draw is for: the same place yields unrelated numbers for each."""

    ORDER = 1
    AUGMENTATION = 2
    SAMPLING = 3
    INITIALIZATION = 4
    DATA_SET = 5
    DROP_PATH = 6
    MIXING = 7


def key(seed: int, purpose: Purpose, *place: int) -> int:
    """A 63-bit integer that stands for this place and no other."""
    text = ",".join(str(int(part)) for part in (seed, purpose, *place))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def torch_generator(seed: int, purpose: Purpose, *place: int) -> torch.Generator:
    return torch.Generator().manual_seed(key(seed, purpose, *place))


def numpy_generator(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    return np.random.default_rng(key(seed, purpose, *place))


_MASK32 = 0xFFFFFFFF


def random_ranks(sample_key: Tensor, places: int | Tensor) -> Tensor:
    """Pseudo-random 32-bit integers, one a place for each key, computed on the keys' device without a wait.

    sample_key: int64, of any shape (...). places: below 2^32, (..., A) int64, or a number A for all below it.
    Returns (..., A) int64 in 0..2^32-1; the same on every device.
    Source: the finalizer of MurmurHash3 (Appleby, public domain), applied to the place and both halves of the key.
    """
    place = torch.arange(places, device=sample_key.device) if isinstance(places, int) else places
    halves = sample_key[..., None] & _MASK32, (sample_key[..., None] >> 32) & _MASK32
    return _mix(_mix(place ^ halves[0]) ^ halves[1])


def random_normals(sample_key: Tensor, count: int) -> Tensor:
    """`count` draws from the standard normal distribution for each key: (..., count) float32, on the keys' device.

    Source: Box and Muller 1958. Devices may differ in a logarithm's last digit.
    """
    # Centres of 2^32 cells: never 0, whose logarithm is infinite.
    uniform = (random_ranks(sample_key, 2 * count).double() + 0.5) / 2.0**32
    radius = (-2.0 * uniform[..., :count].log()).sqrt()
    return (radius * (2.0 * math.pi * uniform[..., count:]).cos()).float()


def _mix(h: Tensor) -> Tensor:
    # Products stay within int64, for h has 32 bits and the factors 31 and a sign.
    h = h ^ (h >> 16)
    h = _multiply32(h, 0x85EBCA6B)
    h = h ^ (h >> 13)
    h = _multiply32(h, 0xC2B2AE35)
    return h ^ (h >> 16)


def _multiply32(h: Tensor, factor: int) -> Tensor:
    """The low 32 bits of h * factor. Both factors are above 2^31; less 2^32 they have the same low bits."""
    return (h * (factor - 2**32)) & _MASK32
