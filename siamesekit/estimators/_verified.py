"""What a verifier keeps beside its network: a threshold, and the pairs that thresholds come from.

Of the pairs there are scores and numbers for the people, no names and no embeddings.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._values import decode, encode
from siamesekit.errors import SavedModelError
from siamesekit.estimators._calibration import ScoredPairs
from siamesekit.estimators._folder import Files
from siamesekit.evaluation.thresholds import Threshold

__all__ = ["read_kept", "threshold_of_the_user", "write_kept"]

_HEADER = 4096
_MOST = 2**28

_OF_THE_USER: dict[str, Any] = {
    "strategy": "user",
    "promised": None,
    "fmr": float("nan"),
    "fnmr": float("nan"),
    "fmr_bound": float("nan"),
    "fnmr_bound": float("nan"),
    "confidence": None,
    "n_people": 0,
}


def threshold_of_the_user(value: float) -> Threshold:
    """Return a threshold of which nothing is known but its value; one of which more is, as it is.

    Parameters
    ----------
    value : float
        Finite.
    """
    facts = vars(value) if isinstance(value, Threshold) else _OF_THE_USER
    return Threshold(float(value), **facts)


def write_kept(
    threshold: Threshold | None, pairs: ScoredPairs | None
) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Return what `save` writes: for json, and tensors by file."""
    cut = None if threshold is None else {"value": float(threshold), **vars(threshold)}
    state = {"threshold": encode(cut), "n_pairs": 0 if pairs is None else len(pairs.scores)}
    if pairs is None:
        return state, {}
    return state, {"pairs": {k: torch.from_numpy(v) for k, v in pairs._asdict().items()}}


def read_kept(
    state: Mapping[str, Any], files: Files
) -> tuple[Threshold | None, ScoredPairs | None]:
    """Return the threshold and the pairs that `write_kept` wrote.

    Raises
    ------
    SavedModelError
        If it cannot have written them.
    """
    pairs = _read_pairs(state.get("n_pairs", 0), files)
    cut = decode(state.get("threshold"))
    return None if cut is None else _read_threshold(cut), pairs


def _read_pairs(n: Any, files: Files) -> ScoredPairs | None:
    if type(n) is not int or not 0 <= n <= _MOST:
        raise SavedModelError("its n_pairs is no number of pairs")
    if n == 0:
        return None
    if "pairs" not in files.handles:
        raise SavedModelError("its held-out pairs are missing")
    found = files.tensors("pairs", 32 * n + _HEADER)
    wanted = {
        "scores": torch.float64, "same": torch.bool, "first": torch.int64, "second": torch.int64
    }  # fmt: skip
    fits = found.keys() == wanted.keys() and all(
        value.dtype == wanted[name] and value.shape == (n,) for name, value in found.items()
    )
    if not fits or not bool(found["scores"].isfinite().all()):
        raise SavedModelError("its held-out pairs are none")
    return ScoredPairs(*(found[name].numpy() for name in ScoredPairs._fields))


def _read_threshold(entry: Any) -> Threshold:
    known = {"value", *_OF_THE_USER}
    numbers = ("value", "fmr", "fnmr", "fmr_bound", "fnmr_bound")
    fits = (
        isinstance(entry, dict)
        and entry.keys() == known
        and all(type(entry[name]) in (int, float) for name in numbers)
        and np.isfinite(entry["value"])
    )
    if not fits:
        raise SavedModelError("its threshold is none")
    return Threshold(**entry)
