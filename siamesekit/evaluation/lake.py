"""Lake's 20 runs of 20-way within-alphabet one-shot classification."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation.episodes import Scorer
from siamesekit.evaluation.result import Result, wilson_interval
from siamesekit.evaluation.ties import share_of_ties

__all__ = ["runs_accuracy"]


@torch.inference_mode()
def runs_accuracy(
    runs: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]],
    scorer: Scorer,
    *,
    name: str = "Lake's 20 runs",
) -> Result:
    """Return the accuracy on given one-shot runs.

    Parameters
    ----------
    runs : sequence of (support, query, answers)
        Of each run: embeddings ``(way, d)`` of the supports, one a class; embeddings ``(q, d)`` of
        the queries; and the position ``(q,)`` of each query's class among the supports.
    scorer : callable
        A head, or anything from ``(m, d)`` and ``(n, d)`` to ``(m, n)``, higher = more alike.
    name : str

    Returns
    -------
    Result
        Its interval is Wilson's over all trials.

    Raises
    ------
    InvalidDataError
        If there is no run, or lengths differ.

    References
    ----------
    .. [1] B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through
       probabilistic program induction", Science 350, 2015.
    """
    start = time.perf_counter()
    if not runs:
        raise InvalidDataError("runs must hold at least one run; got none.")
    worth = torch.cat([_score_run(*run, scorer) for run in runs])
    way = len(torch.as_tensor(runs[0][0]))
    return Result(
        name=name,
        value=float(worth.mean()),
        interval=wilson_interval(float(worth.sum()), len(worth)),
        n_episodes=len(runs),
        n_trials=len(worth),
        chance=1 / way,
        protocol=(
            f"{len(runs)} given runs of {way}-way one-shot classification within an alphabet, "
            "supports of one drawer and queries of another; 95 % interval: Wilson's over trials"
        ),
        seed=None,
        seconds=time.perf_counter() - start,
    )


def _score_run(support: ArrayLike, query: ArrayLike, answers: ArrayLike, scorer: Scorer) -> Tensor:
    supports, queries = torch.as_tensor(support), torch.as_tensor(query)
    columns = torch.as_tensor(answers).long()
    if len(columns) != len(queries):
        raise InvalidDataError(
            f"answers must hold one entry a query ({len(queries)}); got {len(columns)}."
        )
    return share_of_ties(scorer(queries, supports).cpu(), columns.cpu())
