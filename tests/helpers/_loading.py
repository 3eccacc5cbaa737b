"""How tests load a file that stands in no package: an example, a script of the docs, of theirs."""

import importlib.util
from pathlib import Path
from types import ModuleType

__all__ = ["load_module"]


def load_module(path: Path) -> ModuleType:
    """Return a file's module, made anew by each call: no import finds it, and none is in its way.

    So it cannot import what lies beside it, and processes that are spawned do not find it.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
