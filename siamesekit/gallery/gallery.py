"""The enrolled examples of every class, and how alike a query is to each class."""

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_choice, near_matches
from siamesekit._types import AGGREGATES, Aggregate, IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.heads import Head

__all__ = ["Gallery"]

_BLOCK = 2**22


class Gallery:
    """Embeddings of enrolled examples, with the class of each.

    Classes and examples come and go; nothing is retrained.

    Parameters
    ----------
    head : Head
        Compares a query with an example. In ``eval()`` mode.
    aggregate : {"prototype", "mean", "max"}
        How the examples of one class make one score: the head's score against their mean
        embedding, the mean of their scores, or the best of them.

    Attributes
    ----------
    vectors : Tensor of float32, shape (n, d)
        Embeddings, in the order in which they were enrolled.
    labels : ndarray, shape (n,)
        Class of each.
    """

    def __init__(self, head: Head, aggregate: Aggregate = "prototype") -> None:
        check_choice("aggregate", aggregate, AGGREGATES)
        self.head = head
        self.aggregate = aggregate
        self.vectors: Tensor = torch.empty(0, 0)
        self.labels: np.ndarray = np.empty(0, dtype=object)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> np.ndarray:
        """Sorted classes that have at least one example, shape (k,)."""
        return np.unique(self.labels)

    def enroll(self, vectors: Tensor, labels: np.ndarray) -> None:
        """Add examples; a class that is here already gets more of them.

        Parameters
        ----------
        vectors : Tensor of float32, shape (n, d)
        labels : ndarray, shape (n,)
            Of the kind already here: numbers beside numbers, strings beside strings.

        Raises
        ------
        InvalidDataError
            If lengths, the dimension or the kind of label do not fit. The gallery is then as it
            was.
        """
        if len(vectors) != len(labels):
            raise InvalidDataError(f"{len(vectors)} embeddings were given {len(labels)} labels.")
        if len(self) == 0:
            self.vectors, self.labels = vectors.clone(), labels.copy()
            return
        if vectors.shape[1] != self.vectors.shape[1]:
            raise InvalidDataError(
                f"embeddings in the gallery have {self.vectors.shape[1]} numbers; "
                f"got {vectors.shape[1]}."
            )
        if _label_kind(labels) != _label_kind(self.labels):
            raise InvalidDataError(
                f"y must hold {_label_kind(self.labels)}, as the classes already enrolled do; "
                f"got {_label_kind(labels)}."
            )
        self.vectors = torch.cat([self.vectors, vectors.to(self.vectors)])
        self.labels = np.concatenate([self.labels, labels])

    def forget(self, classes: np.ndarray) -> None:
        """Remove all examples of `classes`.

        Raises
        ------
        InvalidDataError
            If one of them is not here; nothing is then forgotten.
        """
        self.positions_of(classes)
        keep = ~np.isin(self.labels, classes)
        self.vectors = self.vectors[torch.from_numpy(keep).to(self.vectors.device)]
        self.labels = self.labels[keep]

    def positions_of(self, classes: np.ndarray) -> IntArray:
        """Return where each of `classes` stands in `self.classes`.

        Raises
        ------
        InvalidDataError
            If one of them is not here; near matches are suggested.
        """
        known = self.classes
        position = {label: k for k, label in enumerate(known.tolist())}
        unknown = [label for label in classes.tolist() if label not in position]
        if unknown:
            hint = near_matches(str(unknown[0]), [str(label) for label in known])
            raise InvalidDataError(
                f"classes must be enrolled; {_shorten(unknown)} "
                f"{'is' if len(unknown) == 1 else 'are'} not. Enrolled: {_shorten(list(known))}."
                f"{hint}"
            )
        return np.array([position[label] for label in classes.tolist()], dtype=np.int64)

    @torch.inference_mode()
    def class_scores(self, queries: Tensor) -> Tensor:
        """Return the score of each query against each class.

        Parameters
        ----------
        queries : Tensor of float32, shape (m, d)

        Returns
        -------
        Tensor of float32, shape (m, k)
            Columns in the order of `classes`; higher = more alike.

        Raises
        ------
        InvalidDataError
            If no class is enrolled.
        """
        if len(self) == 0:
            raise InvalidDataError("the gallery is empty: enroll at least one class first.")
        classes, codes = np.unique(self.labels, return_inverse=True)
        of = torch.from_numpy(codes.astype(np.int64)).to(self.vectors.device)
        examples = self.vectors
        if self.aggregate == "prototype":
            examples = _mean_by_class(self.vectors, of, len(classes))
        # Queries go in blocks, so that the scores against all examples stay in the cache.
        rows = max(1, _BLOCK // max(1, len(examples)))
        blocks = [
            self._block(block, examples, of, len(classes)) for block in torch.split(queries, rows)
        ]
        return torch.cat(blocks) if blocks else queries.new_empty(0, len(classes))

    def _block(self, queries: Tensor, examples: Tensor, of: Tensor, n_classes: int) -> Tensor:
        scores: Tensor = self.head(queries.to(examples), examples)
        if self.aggregate == "prototype":
            return scores
        reduced = scores.new_empty(len(scores), n_classes)
        reduce = "mean" if self.aggregate == "mean" else "amax"
        return reduced.scatter_reduce_(
            1, of.expand_as(scores), scores, reduce=reduce, include_self=False
        )


def _mean_by_class(vectors: Tensor, of: Tensor, n_classes: int) -> Tensor:
    sums = vectors.new_zeros(n_classes, vectors.shape[1]).index_add_(0, of, vectors)
    counts = torch.bincount(of, minlength=n_classes).to(vectors.dtype)
    return sums / counts[:, None]


def _label_kind(labels: np.ndarray) -> str:
    if labels.dtype.kind in "biuf":
        return "numbers"
    if labels.dtype.kind == "U" or all(isinstance(label, str) for label in labels):
        return "strings"
    return "objects"


def _shorten(labels: list[object], most: int = 5) -> str:
    shown = ", ".join(repr(getattr(label, "item", lambda v=label: v)()) for label in labels[:most])
    return shown + (f" and {len(labels) - most} more" if len(labels) > most else "")
