"""What the indexes share whose vectors lie in a store of their own: a server, a folder."""

from typing import Any, Self

import numpy as np

from siamesekit.gallery.indexes.base import Index

__all__ = ["StoreIndex"]


class StoreIndex(Index):
    """Vectors in a store that others may read and change at the same time.

    `save` writes where the store is, and `load` goes there: what is found is what the store holds
    then. No file, and nothing that is pickled, holds a password. A copy looks into the same store,
    by a way of its own.
    """

    is_elsewhere = True

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Nothing is to be taken in: all is in the store."""

    def __copy__(self) -> Self:
        return type(self)(**self.get_params(deep=False))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __getstate__(self) -> dict[str, Any]:
        return self.saved_params()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
