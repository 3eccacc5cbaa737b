"""No more memory for new tensors than an allowance: what a file asks for is refused before."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from siamesekit.errors import SavedModelError

__all__ = ["allowance"]

_BY_SIZE = {
    "empty", "empty_permuted", "empty_strided", "full", "new_empty", "new_empty_strided",
    "new_full", "new_ones", "new_zeros", "ones", "rand", "randint", "randn", "zeros",
}  # fmt: skip
_BY_NUMBER = {"arange": "end", "linspace": "steps", "logspace": "steps", "randperm": "n"}
# Of whatever type the numbers will be.
_BYTES = 8


@contextmanager
def allowance(most: int) -> Iterator[None]:
    """Run a block in which torch makes tensors of `most` bytes in all, at most.

    Raises
    ------
    SavedModelError
        Inside, before memory beyond that is taken.
    """
    with _Allowance(most):
        yield


class _Allowance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = most

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        self._left -= _BYTES * _numbers_made(func, args, kwargs)
        if self._left < 0:
            raise SavedModelError("its sizes ask for more memory than any weights saved with it")
        return func(*args, **kwargs)


def _numbers_made(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    name = func.overloadpacket.__name__
    if name not in _BY_SIZE and name not in _BY_NUMBER and name != "eye":
        return 0
    named = {a.name: value for a, value in zip(func._schema.arguments, args, strict=False)}
    named |= kwargs
    if name in _BY_SIZE:
        return math.prod(int(n) for n in named.get("size", ()))
    if name == "eye":
        return int(named["n"]) * int(named.get("m", named["n"]))
    return int(abs(named[_BY_NUMBER[name]]))
