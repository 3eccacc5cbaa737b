"""Paths and data sets that users hand to an estimator: items that are read when needed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from siamesekit._checks import shown
from siamesekit._labels import as_labels
from siamesekit.errors import InvalidDataError
from siamesekit.estimators._input_kind import InputKind
from siamesekit.estimators._standardizer import Standardizer
from siamesekit.training.streaming import Streamed

__all__ = ["check_agreement", "kind_of", "labels_of", "taken"]


def kind_of(items: Streamed) -> InputKind:
    """Return the kind of number of training items, all of which are looked at."""
    facts = items.look_through()
    return InputKind.of_range(
        facts.low, facts.high, lambda: facts.whole, items.dtype, len(items.shape)
    )


def taken(
    items: Streamed, kind: InputKind, standardizer: Standardizer | None, name: str
) -> Streamed:
    """Return items each batch of which is as the network saw those of training.

    They are what items in memory would be: see `InputKind.take_block`.
    """
    state = None if standardizer is None else list(standardizer)
    return items.converted(_Taking(items, kind, standardizer, name), (list(kind), state))


@dataclass(frozen=True)
class _Taking:
    """From a block of items, finite and of one type, to how the network takes them."""

    items: Streamed
    kind: InputKind
    standardizer: Standardizer | None
    name: str

    def _range(self) -> tuple[float, float, bool]:
        facts = self.items.look_through()
        return facts.low, facts.high, facts.whole

    def __call__(self, block: Tensor) -> Tensor:
        own = self.kind.take_block(block, self._range, self.name)
        if self.standardizer is not None:
            return self.standardizer(own, self.name)
        # Beyond float32 was refused as it was read.
        return own if own.itemsize == 1 else own.float()


def labels_of(items: Tensor | Streamed, y: Any) -> Any:
    """Return `y`, or where it is None the labels that come with the items."""
    if y is None and isinstance(items, Streamed) and items.labelled:
        return items.labels()
    return y


def check_agreement(items: Tensor | Streamed, labels: np.ndarray, name: str = "y") -> None:
    """Raise `InvalidDataError` unless labels are those that come with the items, if any do.

    Two answers to what an item is are one too many; no guess is made which is right.
    """
    if not isinstance(items, Streamed) or not items.labelled:
        return
    own = as_labels(items.labels(), "labels of the data set")
    wrong = [
        k for k, (a, b) in enumerate(zip(own.tolist(), labels.tolist(), strict=True)) if a != b
    ]
    if wrong:
        k = wrong[0]
        raise InvalidDataError(
            f"{name} must agree with the labels that come with the items, or be None; {name}[{k}] "
            f"is {shown(labels[k])}, and {items.name(k)} comes with {shown(own[k])}. Give a data "
            "set of items alone to train on other labels."
        )
