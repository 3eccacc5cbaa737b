"""Lake's 20 runs of 20-way within-alphabet one-shot classification."""

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._facts import facts_of
from siamesekit.evaluation._inputs import (
    Scorer,
    as_embedded,
    as_labels,
    as_positions,
    check_scorer,
    scores_of,
)
from siamesekit.evaluation.result import Result, wilson_interval
from siamesekit.evaluation.ties import share_of_ties

__all__ = ["runs_accuracy"]


@torch.inference_mode()
def runs_accuracy(
    runs: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]],
    scorer: Scorer | None = None,
    *,
    name: str = "Lake's 20 runs",
    classes: ArrayLike | None = None,
    estimator: Any = None,
) -> Result:
    """Return the accuracy on given one-shot runs.

    Parameters
    ----------
    runs : iterable of (support, query, answers)
        Of each run: embeddings ``(way, d)`` of the supports, one a class; embeddings ``(q, d)`` of
        the queries; and the position ``(q,)`` of each query's class among the supports. For a
        scorer of images, images ``(way, h, w)`` and ``(q, h, w)``.
    scorer : callable, optional
        A head, or anything from ``(m, d)`` and ``(n, d)`` to finite floats ``(m, n)``, higher =
        more alike. Default: the head of `estimator`.
    name : str
    classes : array-like of labels, optional
        The classes that the runs are of.
    estimator : fitted estimator, optional
        That embedded them; with `classes`. A class that it was trained on, or that chose its
        epoch, is refused.

    Returns
    -------
    Result
        Its interval is Wilson's over all trials; its chance the mean over them, where ways differ.

    Raises
    ------
    InvalidDataError
        If there is no run, lengths differ, a number or a score is not finite, or an answer is no
        position.
    InvalidParameterError
        If `scorer` cannot be called or returns another shape, or `estimator` is given without
        `classes`.
    LeakageError
        If `estimator` has seen one of `classes`.

    References
    ----------
    .. [1] B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through
       probabilistic program induction", Science 350, 2015.
    """
    start = time.perf_counter()
    own = None if classes is None else as_labels(classes, None, "classes", "label a class")
    facts = facts_of(estimator, own)
    compare = check_scorer(getattr(estimator, "head_", None) if scorer is None else scorer)
    scored = [_score_run(run, compare, f"runs[{k}]") for k, run in enumerate(_triples(runs))]
    if not scored:
        raise InvalidDataError("runs must hold at least one run; got none.")
    trials = torch.cat([worth for worth, _ in scored])
    ways = [way for _, way in scored]
    return Result(
        name=name,
        value=float(trials.mean()),
        interval=wilson_interval(float(trials.sum()), len(trials)),
        n_episodes=len(ways),
        n_trials=len(trials),
        chance=sum(len(worth) / way for worth, way in scored) / len(trials),
        seed=None,
        seconds=time.perf_counter() - start,
        task="runs",
        parameters={"ways": ways},
        tested_classes=facts.tested,
        trained_classes=facts.trained,
        chosen_classes=facts.chosen,
        model=facts.model,
    )


def _triples(
    runs: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]],
) -> list[tuple[ArrayLike, ArrayLike, ArrayLike]]:
    # An array of no dimension says that it can be walked through, and cannot.
    if isinstance(runs, str) or not isinstance(runs, Iterable) or getattr(runs, "ndim", 1) == 0:
        raise InvalidDataError(
            f"runs must be (support, query, answers) each; got {type(runs).__name__}."
        )
    listed = list(runs)
    for k, run in enumerate(listed):
        if not isinstance(run, tuple | list) or len(run) != 3:
            raise InvalidDataError(
                f"runs[{k}] must be (support, query, answers); got "
                f"{f'{len(run)} of them' if isinstance(run, tuple | list) else type(run).__name__}."
            )
    return listed


def _score_run(
    run: tuple[ArrayLike, ArrayLike, ArrayLike], scorer: Scorer, name: str
) -> tuple[Tensor, int]:
    """Return what each query of a run is worth, shape (q,), and its number of classes."""
    supports = as_embedded(run[0], f"support of {name}")
    queries = as_embedded(run[1], f"query of {name}").to(supports.device)
    if supports.shape[1:] != queries.shape[1:]:
        raise InvalidDataError(
            f"support and query of {name} must hold embeddings of one length; "
            f"got shapes {tuple(supports.shape)} and {tuple(queries.shape)}."
        )
    answers = as_positions(run[2], len(queries), len(supports), f"answers of {name}")
    scores = scores_of(scorer, queries, supports).cpu()
    return share_of_ties(scores, torch.from_numpy(answers)), len(supports)
