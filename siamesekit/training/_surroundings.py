"""What functions and objects hold, and what of it they change as they run."""

import dis
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["attributes", "surroundings"]

# Methods by which lists, sets, dicts and deques are changed.
_CHANGING = frozenset(
    {"append", "appendleft", "extend", "insert", "add", "update", "setdefault", "pop", "popleft",
     "popitem", "remove", "discard", "clear", "sort", "reverse", "rotate"}
)  # fmt: skip
_OF_MAKING = frozenset({"__init__", "__post_init__", "__setstate__", "__new__", "build"})
_CONTAINERS = (list, set, dict)


def surroundings(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Return names and values that a function encloses or takes from its module, sorted.

    Left out is what the function (or one inside it) sets or changes as it runs, such as a list
    that it appends to: that says how often it ran, not what it is.
    """
    uses = _Uses()
    uses.read(function.__code__)
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = {}
    for name in uses.globals:
        if name in function.__globals__:
            found[name] = function.__globals__[name]
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for name in sorted(found):
        if not uses.changes(name, found[name]):
            yield name, found[name]


def attributes(owner: object) -> Iterator[tuple[str, Any]]:
    """Return names and values of an object's attributes, sorted, slots among them.

    Left out is what its methods set or change once it is made.
    """
    uses = _Uses()
    # What torch's modules do to any module's attributes is no business of what is added to them.
    for cls in (c for c in type(owner).__mro__ if not c.__module__.startswith("torch.")):
        for name, method in vars(cls).items():
            plain = getattr(method, "__func__", method)
            if isinstance(plain, types.FunctionType) and name not in _OF_MAKING:
                uses.read(plain.__code__)
    found = dict(getattr(owner, "__dict__", {}))
    for cls in type(owner).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(owner, name) and name not in ("__dict__", "__weakref__"):
                found[name] = getattr(owner, name)
    for name in sorted(found):
        if not uses.changes(name, found[name]):
            yield name, found[name]


class _Uses:
    """What code reads, and what it changes, by name."""

    def __init__(self) -> None:
        self.globals: set[str] = set()
        self.set: set[str] = set()
        self.items_set = False

    def read(self, code: types.CodeType) -> None:
        """Take in a function's code and that of the functions inside it."""
        before = ""
        for step in dis.get_instructions(code):
            name = step.argval if isinstance(step.argval, str) else ""
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                self.globals.add(name)
            elif step.opname in ("STORE_DEREF", "STORE_GLOBAL", "STORE_ATTR", "DELETE_ATTR"):
                self.set.add(name)
            elif step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR"):
                self.items_set = True
            elif step.opname in ("LOAD_METHOD", "LOAD_ATTR") and name in _CHANGING:
                self.set.add(before)
            before = name
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.read(constant)

    def changes(self, name: str, value: object) -> bool:
        """Return whether the code changes what it knows by this name, or may do so."""
        return name in self.set or (self.items_set and isinstance(value, _CONTAINERS))
