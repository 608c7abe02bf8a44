"""How a batch comes from a worker process: through a socket, its large tensors as memory that both processes map.

The memory belongs to no file system (memfd_create): /dev/shm, which containers make small, is not used, and nothing is
left behind by a process that was killed. Where a system has no such memory, or no file descriptor is left for it,
tensors travel through the socket by value. Small tensors always do: a descriptor each would soon be too many.
"""

from __future__ import annotations

import errno
import io
import math
import mmap
import multiprocessing
import os
import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_HAS_MEMFD = hasattr(os, "memfd_create")
# Below so many bytes a copy costs less than a mapping.
_MAPPED_FROM = 1 << 16
_LENGTH = struct.Struct("<QI")

# In a worker: the descriptors of memory that tensors of the batch being made lie in, by the memory's address.
_unsent: dict[int, int] = {}


class PeerGone(Exception):
    """The other process closed its end of the socket, or died."""


def mapped_memory(shape: Sequence[int]) -> Tensor:
    """An uninitialized uint8 tensor that send() need not copy; for processes that send what they make."""
    count = math.prod(shape)
    if not _HAS_MEMFD or count < _MAPPED_FROM:
        return torch.empty(tuple(shape), dtype=torch.uint8)
    try:
        descriptor = os.memfd_create("detres-batch")
        try:
            os.ftruncate(descriptor, count)
            memory = mmap.mmap(descriptor, count)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError:  # No descriptor or no such memory is left; by value, then.
        return torch.empty(tuple(shape), dtype=torch.uint8)
    flat = torch.frombuffer(memory, dtype=torch.uint8)
    _unsent[flat.data_ptr()] = descriptor
    return flat.view(tuple(shape))


def shared_zeros(*shape: int, dtype: torch.dtype) -> Tensor:
    """Zeros that worker processes begun later write to and their main process reads."""
    count = math.prod(shape) * dtype.itemsize
    if count and multiprocessing.get_start_method() == "fork":  # Children inherit it, and it needs no /dev/shm.
        return torch.frombuffer(mmap.mmap(-1, count), dtype=dtype).view(shape)
    return torch.zeros(shape, dtype=dtype).share_memory_()


def forget_unsent() -> None:
    """Let go of memory that was made for a batch which was then not sent."""
    while _unsent:
        os.close(_unsent.popitem()[1])


def send(end: socket.socket, value: Any) -> None:
    """Send what can be pickled; tensors arrive as they are but on the CPU and without gradients.

    Raises PeerGone where nobody is there to receive it.
    """
    packed = io.BytesIO()
    pickler = _Pickler(packed)
    pickler.dump(value)
    body = packed.getbuffer()
    try:
        end.sendall(_LENGTH.pack(len(body), len(pickler.descriptors)))
        end.sendall(body)
        for descriptor in pickler.descriptors:
            socket.send_fds(end, [b"\0"], [descriptor])
    except (ConnectionError, TimeoutError):
        raise PeerGone from None
    finally:
        forget_unsent()


def receive(end: socket.socket) -> Any:
    """What send() sent. Raises PeerGone; OSError where this process may open no more files."""
    length, count = _LENGTH.unpack(_exactly(end, _LENGTH.size))
    body = _exactly(end, length)
    memories = [_received_memory(end) for _ in range(count)]
    return _Unpickler(body, memories).load()


def _exactly(end: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        try:
            got = end.recv_into(view)
        except ConnectionError:
            got = 0
        if not got:
            raise PeerGone
        view = view[got:]
    return data


def _received_memory(end: socket.socket) -> Tensor:
    try:
        byte, descriptors, *_ = socket.recv_fds(end, 1, 1)
    except ConnectionError:
        raise PeerGone from None
    if not byte:
        raise PeerGone
    if not descriptors:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    try:
        return torch.frombuffer(mmap.mmap(descriptors[0], 0), dtype=torch.uint8)
    finally:
        os.close(descriptors[0])


class _Pickler(pickle.Pickler):
    """Leaves large tensors out, whose memory goes beside the bytes. descriptors: of these memories, in order."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.descriptors: list[int] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not _HAS_MEMFD or value.nbytes < _MAPPED_FROM:
            return None
        if value.untyped_storage().data_ptr() not in _unsent:
            copied = mapped_memory((value.nbytes,))
            if copied.data_ptr() not in _unsent:
                return None
            value = copied.view(value.dtype).view(value.shape).copy_(value)
        start = value.untyped_storage().data_ptr()
        if start not in self._places:
            self._places[start] = len(self.descriptors)
            self.descriptors.append(_unsent[start])
        offset = value.data_ptr() - start
        return self._places[start], value.dtype, tuple(value.shape), value.stride(), offset

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        flat = value.detach().contiguous().view(-1).view(torch.uint8) if value.numel() else value.new_empty(0)
        return _of_bytes, (flat.numpy().tobytes(), value.dtype, tuple(value.shape))


def _of_bytes(data: bytes, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=dtype).view(shape) if data else torch.empty(shape, dtype=dtype)


class _Unpickler(pickle.Unpickler):
    def __init__(self, body: bytearray, memories: Sequence[Tensor]) -> None:
        super().__init__(io.BytesIO(body))
        self._memories = memories

    def persistent_load(self, saved: Any) -> Tensor:
        place, dtype, shape, stride, offset = saved
        memory = self._memories[place]
        return memory[offset : offset + _reach(shape, stride) * dtype.itemsize].view(dtype).as_strided(shape, stride)


def _reach(shape: Sequence[int], stride: Sequence[int]) -> int:
    """Elements from a tensor's first to its last, both counted."""
    return 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
