"""A device that is none: a processor that behaves as an accelerator without float64 (Apple's MPS).

Tensors on it have a device of their own, so that all code takes the ways of an accelerator; their
memory is the processor's, which carries each operator out. On the way it is looked at: float64 is
refused, and whatever would make a real device wait for the host is counted.

A device is there for a whole process, and torch counts its devices at the first gradient. So these
tests have a process of their own, which ``tests/test_device.py`` starts; to run them by hand, set
``SIAMESEKIT_PRETEND_DEVICE=1``.
"""

import ctypes
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree, backend_registration

collect_ignore = [] if os.environ.get("SIAMESEKIT_PRETEND_DEVICE") else ["test_on_device.py"]

NAME = "elsewhere"
WIDE = (torch.float64, torch.complex128)
# Operators that hand a number to the host, or whose result has a size that the device works out.
TO_HOST = {"_local_scalar_dense", "equal", "is_nonzero"}
SIZED_BY_DATA = {
    "nonzero",
    "masked_select",
    "_unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "repeat_interleave",
}


class _DLHead(ctypes.Structure):
    """The first fields of a DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
    ]


_CPU, _EXTENSION = 1, 12
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def _seen_as(tensor: Tensor, device_type: int) -> Tensor:
    """Return a tensor of the same memory that says it is on another device."""
    plain = tensor.detach() if tensor.requires_grad else tensor
    capsule = torch._C._to_dlpack(plain)
    head = _DLHead.from_address(_pointer_of(capsule, b"dltensor"))
    head.device_type, head.device_id = device_type, 0
    return torch._C._from_dlpack(capsule)


class Elsewhere:
    """What the device was asked to do.

    Attributes
    ----------
    syncs : Counter
        By operator: how often the host waited.
    """

    def __init__(self) -> None:
        self.syncs: Counter[str] = Counter()
        self.operators = 0

    @property
    def device(self) -> torch.device:
        """Return the device."""
        return torch.device(NAME, 0)

    def run(self, operator: Any, *args: Any, **kwargs: Any) -> Any:
        """Carry an operator out on the processor."""
        own: dict[int, tuple[Tensor, Tensor]] = {}
        name = operator._schema.name.removeprefix("aten::")

        def down(value: Any) -> Any:
            if isinstance(value, Tensor) and value.device.type == NAME:
                self._look_at(value, name)
                # Memory that is shared cannot grow: what is to be filled gets memory of its own.
                filled = not value.numel() or name == "resize_"
                here = _here(value).clone() if filled else _here(value)
                own[id(here)] = here, value
                return here
            if isinstance(value, torch.device) and value.type == NAME:
                return torch.device("cpu")
            return value

        def up(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            if id(value) in own:
                here, there = own[id(value)]
                if here.data_ptr() != there.data_ptr() or here.shape != there.shape:
                    _set(there, _seen_as(here, _EXTENSION), here)
                return there
            self._look_at(value, name)
            if operator.is_view and value.numel():
                # Where it lies in what it views: the gradient of a part is written by that.
                (_, there), *_ = own.values()
                start = value.data_ptr() - there.untyped_storage().data_ptr()
                return _part_of(there, value, start // value.itemsize)
            return _seen_as(value, _EXTENSION)

        self.operators += 1
        if name == "_copy_from":
            source, target = args[:2]
            if target.device.type == "cpu":
                self.syncs["copy to host"] += 1
            down(target), down(source)
            _here(target).copy_(_here(source))
            return target
        self._count(name, args)
        if name == "as_strided":
            # Its place is counted from where the memory begins, of which a part knows nothing.
            return _strided(*args, **kwargs)
        args, kwargs = _pytree.tree_map(down, (args, kwargs))
        # A number beside a tensor comes as itself.
        wanted = zip(args, operator._schema.arguments, strict=False)
        args = tuple(
            torch.tensor(value) if str(kind.type) == "Tensor" and _is_number(value) else value
            for value, kind in wanted
        )
        found = operator(*args, **kwargs)
        # A view is of the kind of what it views, whatever the mode.
        views = operator.is_view and not next(there for _, there in own.values()).is_inference()
        with torch.inference_mode(torch.is_inference_mode_enabled() and not views):
            return _pytree.tree_map(up, found)

    def _count(self, name: str, args: tuple[Any, ...]) -> None:
        masked = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
            for index in args[1]
        )
        if name in TO_HOST or name in SIZED_BY_DATA or masked:
            self.syncs[f"{name} by mask" if masked else name] += 1

    def _look_at(self, tensor: Tensor, name: str) -> None:
        if tensor.dtype in WIDE:
            raise TypeError(
                f"{name}: device {NAME!r} has no {tensor.dtype} (shape {tuple(tensor.shape)})"
            )

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """Give what the host waits for within."""
        self.syncs = Counter()
        yield self.syncs


def _here(tensor: Tensor) -> Tensor:
    return _seen_as(tensor, _CPU) if tensor.device.type == NAME else tensor


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _set(tensor: Tensor, owner: Tensor, like: Tensor, offset: int = 0) -> None:
    """Give a tensor memory of its owner's, and a shape, also where none may be changed."""
    operator = torch.ops.aten.set_.source_Storage_storage_offset
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
    memory = owner.untyped_storage()
    operator.redispatch(keys, tensor, memory, offset, like.shape, like.stride())


def _part_of(owner: Tensor, like: Tensor, offset: int) -> Tensor:
    """Return a tensor of a part of a tensor's memory, and of the shape of another."""
    part = _seen_as(torch.empty(0, dtype=like.dtype), _EXTENSION)
    _set(part, owner, like, offset)
    return part


def _strided(
    tensor: Tensor, size: list[int], stride: list[int], storage_offset: int | None = None
) -> Tensor:
    offset = tensor.storage_offset() if storage_offset is None else storage_offset
    like = torch.empty_strided(size, stride, dtype=tensor.dtype, device="meta")
    with torch.inference_mode(tensor.is_inference()):
        return _part_of(tensor, like, offset)


class _Module:
    """What torch asks of the module of a device."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def manual_seed_all(self, seed: int) -> None:
        """Do nothing: no code may draw from a default generator."""

    def _is_in_bad_fork(self) -> bool:
        return False

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


class _Generator(torch.Generator):
    """On the device a generator of the processor, which does the work."""

    def __new__(cls, device: Any = "cpu") -> Any:
        where = torch.device(device)
        made = super().__new__(cls, "cpu" if where.type == NAME else where)
        made.where = where
        return made

    @property
    def device(self) -> torch.device:
        where: torch.device = self.where
        return where


_ELSEWHERE = Elsewhere()
_registered: list[torch.library.Library] = []


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
    here = None if bias is None else _here(bias)
    return _seen_as(torch.convolution(_here(x), _here(weight), here, *rest), _EXTENSION)


def _convolved_backward(grad: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> Any:
    *geometry, mask = rest
    found = torch.ops.aten.convolution_backward(
        _here(grad), _here(x), _here(weight), [weight.shape[0]], *geometry, mask
    )
    return tuple(None if one is None else _seen_as(one, _EXTENSION) for one in found)


def register() -> Elsewhere:
    """Return the device, which torch knows from then on."""
    if not _registered:
        backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())
        every = torch.library.Library("_", "IMPL")
        every.fallback(_ELSEWHERE.run, "PrivateUse1")
        # Torch has these for all devices, so that none falls back.
        own = torch.library.Library("aten", "IMPL")
        own.impl("convolution_overrideable", _convolved, "PrivateUse1")
        own.impl("convolution_backward_overrideable", _convolved_backward, "PrivateUse1")
        _registered.extend([every, own])
    return _ELSEWHERE


_deepcopy = Tensor.__deepcopy__


def _copied(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """Copy by an operator: a storage that is the processor's cannot be."""
    if self.device.type != NAME:
        return _deepcopy(self, memo)
    if id(self) not in memo:
        own = self.detach().clone()
        is_weight = isinstance(self, torch.nn.Parameter)
        memo[id(self)] = torch.nn.Parameter(own, self.requires_grad) if is_weight else own
    found: Tensor = memo[id(self)]
    return found


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """Return the device, which has no float64."""
    device = register()
    monkeypatch.setattr(torch, "Generator", _Generator)
    monkeypatch.setattr(Tensor, "__deepcopy__", _copied)
    return device
