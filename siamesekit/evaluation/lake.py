"""Lake's 20 runs of 20-way within-alphabet one-shot classification."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._scoring import Scorer, as_vectors, ready
from siamesekit.evaluation.result import Result, wilson_interval
from siamesekit.evaluation.ties import share_of_ties

__all__ = ["runs_accuracy"]


def runs_accuracy(
    runs: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]],
    scorer: Scorer | str,
    *,
    name: str = "Lake's 400 trials",
) -> Result:
    """Return the accuracy on given one-shot runs.

    Each query is judged by itself: a support that suits two queries may be chosen twice. A tie for
    the best is worth 1/(number tied).

    Parameters
    ----------
    runs : sequence of (support, query, answers)
        Of each run: embeddings ``(way, d)`` of the supports, one a class; embeddings ``(q, d)`` of
        the queries; and the position ``(q,)`` of each query's class among the supports. Whole
        images ``(way, h, w)`` do as well, for a scorer that takes these.
    scorer : callable or str
        A head, or anything from ``(m, d)`` and ``(n, d)`` to ``(m, n)``, higher = more alike; or
        the name of a fixed head.
    name : str

    Returns
    -------
    Result
        Its interval is Wilson's over all trials; `per_episode` has the accuracy of each run.

    Raises
    ------
    InvalidDataError
        If there is no run, lengths differ, an embedding is not finite, or an answer is no position
        of a support.

    References
    ----------
    .. [1] B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through
       probabilistic program induction", Science 350, 2015.
    """
    start = time.perf_counter()
    if not len(runs):
        raise InvalidDataError("runs must hold at least one run; got none.")
    with ready(scorer) as score:
        worth = [_score_run(*run, score) for run in runs]
    trials = torch.cat(worth)
    ways = [len(run[0]) for run in runs]  # type: ignore[arg-type]
    return Result(
        name=name,
        value=float(trials.mean()),
        interval=wilson_interval(float(trials.sum()), len(trials)),
        n_episodes=len(runs),
        n_trials=len(trials),
        chance=sum(len(own) / way for own, way in zip(worth, ways, strict=True)) / len(trials),
        protocol=(
            f"{len(runs)} given runs of {'/'.join(map(str, sorted(set(ways))))}-way one-shot "
            "classification, each query judged by itself; 95 % interval: Wilson's over trials"
        ),
        seed=None,
        seconds=time.perf_counter() - start,
        per_episode=tuple(float(own.mean()) for own in worth),
    )


def _score_run(support: ArrayLike, query: ArrayLike, answers: ArrayLike, score: Scorer) -> Tensor:
    supports, queries = as_vectors("support", support), as_vectors("query", query)
    columns = torch.as_tensor(answers).long().cpu()
    if columns.shape != queries.shape[:1]:
        raise InvalidDataError(
            f"answers must hold one entry a query ({len(queries)}); got {tuple(columns.shape)}."
        )
    if bool(((columns < 0) | (columns >= len(supports))).any()):
        raise InvalidDataError(f"answers must be positions of supports, 0 to {len(supports) - 1}.")
    return share_of_ties(score(queries, supports).cpu(), columns)
