"""What users hand to an evaluation."""

import numpy as np
from torch import Tensor

from siamesekit._types import ArrayLike

__all__ = ["as_array"]


def as_array(values: ArrayLike) -> np.ndarray:
    """Return array-like values, or a tensor on any device, as a NumPy array of the same type."""
    return values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
