"""What every miner is whose choice for an anchor needs only that anchor's row of scores."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._scores import check_embeddings, check_scores, shown
from siamesekit._types import Pairs, Triplets
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.miners.base import Miner

__all__ = ["RowMiner", "mine_from_embeddings"]

ChosenT = TypeVar("ChosenT", Pairs, Triplets)


class RowMiner(Miner, Generic[ChosenT]):
    """A miner that looks at each anchor's row of distances alone.

    So it can mine a few rows at a time, where the whole matrix is too large: see
    `mine_from_embeddings`.
    """

    def __call__(self, inputs: Tensor, labels: Tensor) -> ChosenT:
        """Return the chosen tuples of a batch.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores.
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Pairs or Triplets

        Raises
        ------
        InvalidDataError
            Unless `inputs` is (b, b) of float and `labels` is (b,) of whole numbers.
        """
        check_scores(inputs, labels)
        return self.join([self.choose(inputs.detach(), labels, 0)])

    @abstractmethod
    def choose(self, scores: Tensor, labels: Tensor, start: int) -> ChosenT:
        """Return the tuples of the anchors ``start .. start + r - 1``.

        Parameters
        ----------
        scores : Tensor of float, shape (r, b)
            Of each of these anchors and every item, without a graph.
        labels : Tensor of int64, shape (b,)
        start : int
            Position of the first anchor in the batch.
        """

    def join(self, parts: list[ChosenT]) -> ChosenT:
        """Return the choice of a batch from those of its blocks of anchors, at least one.

        The list is emptied: each column of the parts makes room as soon as it is joined.
        """
        kind = type(parts[0])
        if len(parts) == 1:
            return parts.pop()
        columns = [list(column) for column in zip(*parts, strict=True)]
        parts.clear()
        return kind(*(torch.cat(columns.pop(0)) for _ in kind._fields))


@torch.no_grad()
def mine_from_embeddings(
    miner: RowMiner[ChosenT],
    embeddings: Tensor,
    labels: Tensor,
    *,
    head: Callable[[Tensor, Tensor], Tensor],
    block_rows: int = 1024,
) -> ChosenT:
    """Return what `miner` chooses from the scores of all against all, without that matrix.

    Scores are computed, mined and dropped for `block_rows` anchors at a time. The tuples are those
    of the whole matrix, in the same order, as far as the head gives a row the same scores beside
    other rows; a matrix product may round the last bit otherwise.

    Memory is O(block_rows × b): beside the tuples, 4 bytes a score and what the head needs for a
    block, a few times that. With 32,768 items, 1,024 rows are 128 MiB of scores, where the matrix
    has 4 GiB. The tuples have 24 bytes a triplet, and 32 while the blocks are joined.

    Parameters
    ----------
    miner : RowMiner
        ``"tf-semihard"``, ``"batch-hard"`` and ``"hard-pairs"`` choose at most one tuple for each
        positive pair, or two for each item; ``"easy"``, ``"semihard"``, ``"hard"`` and
        ``"all-triplets"`` choose few with `per_pair`, and up to b³ / 4 without it.
    embeddings : Tensor of float, shape (b, d)
    labels : Tensor of int64, shape (b,)
    head : callable
        From ``(m, d)`` and ``(n, d)`` to the scores ``(m, n)``, higher = more alike: a head, or
        minus a distance.
    block_rows : int
        Anchors at a time, at least 1.

    Returns
    -------
    Pairs or Triplets

    Raises
    ------
    InvalidParameterError
        If `miner` needs more than one row at a time, or `block_rows` is no positive integer.
    InvalidDataError
        Unless `embeddings` is (b, d) of float, `labels` is (b,), and the head gives (m, b) of
        float.
    """
    if not isinstance(miner, RowMiner):
        raise InvalidParameterError(
            "miner must be a RowMiner, which needs only an anchor's own row of scores "
            f"('semihard', 'batch-hard', …); got {miner!r}."
        )
    check_integer("block_rows", block_rows, low=1)
    if not callable(head):
        raise InvalidParameterError(
            f"head must be a head, or a callable from embeddings to scores; got {head!r}."
        )
    check_embeddings(embeddings, labels)
    parts = []
    for start in range(0, max(1, len(labels)), block_rows):
        rows = embeddings[start : start + block_rows]
        scores = head(rows, embeddings)
        if (
            not isinstance(scores, Tensor)
            or scores.shape != (len(rows), len(labels))
            or not scores.is_floating_point()
        ):
            raise InvalidDataError(
                f"head must give float scores of shape ({len(rows)}, {len(labels)}); "
                f"got {shown(scores)}."
            )
        parts.append(miner.choose(scores, labels, start))
    return miner.join(parts)
