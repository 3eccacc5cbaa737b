"""Fixtures that tests of several folders share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from siamesekit import estimators, training

# The precision that "auto" is to mean in this run of the tests, so that one machine can show what
# another would: float32 or bfloat16. Only the tests know this variable.
_PRECISION = os.environ.get("SIAMESEKIT_TEST_PRECISION")


@pytest.fixture(scope="session", autouse=True)
def _forced_precision() -> Iterator[None]:
    """Let the estimators' ``precision="auto"`` be what the environment names, on any processor."""
    if not _PRECISION:
        yield
        return
    resolve = training.resolve_precision

    def forced(precision: str, *given: object) -> torch.dtype:
        return resolve(_PRECISION if precision == "auto" else precision, *given)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith(estimators.__name__) and hasattr(module, "resolve_precision"):
                patch.setattr(module, "resolve_precision", forced)
        yield


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the public data sets (its README says what is in it); skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("SIAMESEKIT_DATA", beside))
    if not (root / "omniglot").is_dir():
        pytest.skip(f"no data sets in {root}; SIAMESEKIT_DATA names their folder")
    return root


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folder that takes the place of the user's cache for one test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIAMESEKIT_CACHE", str(folder))
    return folder


class LargestTensor(TorchDispatchMode):
    """Records the size of the largest tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.fixture
def largest_tensor() -> LargestTensor:
    """Recorder, used as a context, of the size of the largest tensor that is made."""
    return LargestTensor()
