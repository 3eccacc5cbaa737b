"""The global generators of torch, NumPy and Python, which no part is to use."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from siamesekit.testing._findings import Findings

__all__ = ["watching_global_generators"]

# A seed that nobody sets: one that is set to where it stands already would not be seen.
_ODD = 1_836_311_903


@contextmanager
def watching_global_generators(found: Findings) -> Iterator[None]:
    """Run a block, note each global generator that was used in it, and put all back.

    What torch draws for a part is handed to it (`drawing_from`): its own generator moves only where
    it is seeded.

    Parameters
    ----------
    found : Findings
        Takes what is missing.
    """
    # The generators that anybody shares are what this is about.
    of_numpy = np.random.get_state()  # noqa: NPY002
    of_python = random.getstate()
    with torch.random.fork_rng(devices=[]):
        try:
            # Not torch.manual_seed, which seeds those of all devices, and none of them is put back.
            torch.default_generator.manual_seed(_ODD)
            np.random.seed(_ODD)  # noqa: NPY002
            random.seed(_ODD)
            before = _states()
            yield
            used = [name for name, state in _states().items() if state != before[name]]
        finally:
            np.random.set_state(of_numpy)  # noqa: NPY002
            random.setstate(of_python)
    found.expect(
        not used,
        "it must leave the global generators of torch, numpy and random alone, and draw from the "
        "one that it is given, or by functions of torch without a seed of its own, which are "
        f"handed one; it moves that of {', '.join(used)}",
    )


def _states() -> dict[str, str]:
    return {
        "torch": repr(torch.get_rng_state().tolist()),
        "numpy": repr(np.random.get_state(legacy=False)),  # noqa: NPY002
        "random": repr(random.getstate()),
    }
