"""A pretended CUDA device: host code runs as on a GPU, the CPU computes, and what the host would wait for is recorded.

A tensor on it is a wrapper around one on the CPU. To be imported where building.py has a stub of CUDA's runtime loaded,
which has one device and computes nothing. Not to be seen so: nccl, compiled kernels, CUDA graphs, torch.export.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from tests.pretended_gpu.record import Record, line_of_package

CUDA = torch.device("cuda", 0)
RECORD = Record()

# Operators that return as much as the values say, or are asked for a value: the host waits for the device.
_WAITED_FOR = {
    "aten._local_scalar_dense.default": "item",
    "aten.nonzero.default": "nonzero",
    "aten.masked_select.default": "masked_select",
    "aten._unique2.default": "unique",
    "aten.unique_consecutive.default": "unique",
    "aten.unique_dim.default": "unique",
    "aten.bincount.default": "bincount",
    "torchvision.nms.default": "nms",
    "aten.equal.default": "equal",
}
_INDEXED = ("aten.index.Tensor", "aten.index_put", "aten._index_put", "aten._unsafe_index")


def pretend() -> None:
    """Let torch believe in the device; for the whole process."""
    properties = SimpleNamespace(
        name="pretended H100", total_memory=85 << 30, major=9, minor=0, multi_processor_count=132
    )
    answers: dict[str, Any] = {
        "get_device_properties": properties,
        "get_device_name": properties.name,
        "is_bf16_supported": True,
        "memory_allocated": 0,
        "max_memory_allocated": 0,
        "max_memory_reserved": 0,
    }
    nothing = ("_lazy_init", "synchronize", "reset_peak_memory_stats", "manual_seed", "manual_seed_all")
    for name, answer in (answers | dict.fromkeys(nothing)).items():
        setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
    torch.backends.cudnn.enabled = False
    torch.__future__.set_overwrite_module_params_on_conversion(True)


class OnDevice(Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnDevice:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=CUDA,
            requires_grad=False,
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    __torch_function__ = torch._C._disabled_torch_function_impl

    def tolist(self) -> Any:
        RECORD.waits[line_of_package(), "tolist"] += 1
        return self.inner.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """In a file it is a tensor of the host, as which checkpoints are read."""
        RECORD.waits[line_of_package(), "a file"] += 1
        return self.inner.__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Pretended(TorchDispatchMode):
    """Within it, what is made on "cuda" is made on the pretended device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def counted(make: Callable[[], Callable[[], object]]) -> dict[str, Any]:
    """What RECORD saw of what `make` returns, called once more after a first time that prepares it."""
    with Pretended():
        run = make()
        run()
        RECORD.clear()
        run()
    return {
        "waits": {" ".join(key): number for key, number in RECORD.waits.items()},
        "mixed": {" ".join(key): number for key, number in RECORD.mixed.items()},
        "kernels": sum(RECORD.kernels.values()),
    }


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    on_device = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    device = kwargs.get("device")
    made_there = device is not None and torch.device(device).type == "cuda"
    line = line_of_package()
    if any(tensor.device.type == "cuda" and not isinstance(tensor, OnDevice) for tensor in tensors):
        # torch.tensor(..., device="cuda") put it into the stub's memory, which is the host's.
        RECORD.waits[line, "a copy to the device"] += 1
        return tree_map(_wrapped, func(*tree_map(_unwrapped, args), **tree_map(_unwrapped, kwargs)))
    if not on_device and not made_there:
        return func(*args, **kwargs)
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        with Pretended():
            found = func.decompose(*args, **kwargs)
        if found is not NotImplemented:
            return found
    name = str(func)
    if name == "aten.record_stream.default":
        return None  # a note to the allocator
    if name == "aten._to_copy.default":
        return _moved(func, args, kwargs, line)
    if name == "aten.copy_.default" and len(on_device) == 1:
        return _copied(func, args, kwargs, line)
    _note(name, args, kwargs, tensors, line)
    here = {key: torch.device("cpu") if key == "device" and made_there else value for key, value in kwargs.items()}
    here.pop("pin_memory", None)
    return _rewrapped(func, args, kwargs, func(*tree_map(_unwrapped, args), **tree_map(_unwrapped, here)))


def _moved(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], line: str) -> Any:
    source, device = args[0], kwargs.get("device")
    how = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory", "non_blocking")}
    if not isinstance(source, OnDevice):
        RECORD.copy_to_device(source, bool(kwargs.get("non_blocking")), line)
        return OnDevice(func(source, **how) if how else source.clone(memory_format=torch.preserve_format))
    if device is not None and torch.device(device).type == "cpu":
        RECORD.waits[line, "a copy to the host"] += 1
        return func(source.inner, **how)
    RECORD.operator("aten._to_copy.default", line)
    return OnDevice(func(source.inner, **how))


def _copied(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], line: str) -> Any:
    target, source = args[0], args[1]
    if isinstance(target, OnDevice):
        RECORD.copy_to_device(source, bool(args[2] if len(args) > 2 else kwargs.get("non_blocking")), line)
    else:
        RECORD.waits[line, "a copy to the host"] += 1
    func(*tree_map(_unwrapped, args), **tree_map(_unwrapped, kwargs))
    return target


def _note(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor], line: str) -> None:
    """What an operator of the device starts, waits for, or does with tensors of the host."""
    RECORD.operator(name, line)
    if name in _WAITED_FOR:
        RECORD.waits[line, _WAITED_FOR[name]] += 1
    if name == "aten.repeat_interleave.Tensor" and len(args) < 2 and kwargs.get("output_size") is None:
        RECORD.waits[line, "repeat_interleave"] += 1
    indexed = name.startswith(_INDEXED)
    if indexed:
        masks = [index for index in args[1] if isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)]
        accumulates = len(args) > 3 and args[3]
        fills = "index_put" in name and args[2].numel() == 1 and not accumulates
        if masks and not fills:
            RECORD.waits[line, "a mask as an index"] += len(masks)
    apart = [tensor for tensor in tensors if not isinstance(tensor, OnDevice)]
    if apart and indexed and isinstance(args[0], OnDevice):
        if any(index is other for index in args[1] for other in apart):
            RECORD.waits[line, "an index from the host"] += 1
    elif [tensor for tensor in apart if tensor.dim()] or (apart and not name.startswith("aten.")):
        RECORD.mixed[line, name] += 1


def _unwrapped(value: Any) -> Any:
    if isinstance(value, OnDevice):
        return value.inner
    if isinstance(value, Tensor) and value.device.type == "cuda":
        with torch._C._DisableTorchDispatch():
            return torch.Tensor.cpu(value)
    return value


def _wrapped(value: Any) -> Any:
    return OnDevice(value) if isinstance(value, Tensor) and not isinstance(value, OnDevice) else value


def _rewrapped(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    """What was written in place is returned as the wrapper it is; what is new is wrapped."""
    written = {}
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = kwargs.get(argument.name, args[place] if place < len(args) else None)
            written[tuple(sorted(argument.alias_info.before_set))] = value
    if not written:
        return tree_map(_wrapped, result)
    if not func._schema.returns:
        return None
    several = isinstance(result, tuple | list)
    returned = tuple(
        written[tuple(sorted(form.alias_info.before_set))]
        if form.alias_info is not None and form.alias_info.is_write
        else tree_map(_wrapped, value)
        for form, value in zip(func._schema.returns, result if several else (result,), strict=True)
    )
    return returned if several else returned[0]
