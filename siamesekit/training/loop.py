"""The one training loop."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from siamesekit._checks import check_callable, check_integer, check_kind, shown
from siamesekit.errors import InvalidDataError, InvalidParameterError, TrainingDivergedError
from siamesekit.samplers import Sampler
from siamesekit.training._listeners import Listeners
from siamesekit.training.callbacks import Callback, EpochFunction, check_callbacks
from siamesekit.training.checkpoint import Checkpoint, RunFile
from siamesekit.training.compiling import compiled
from siamesekit.training.distributed import by_the_first, joined
from siamesekit.training.fingerprint import fingerprint
from siamesekit.training.history import History
from siamesekit.training.items import Augment, Items, as_float, as_protocol
from siamesekit.training.line import TrainingLine
from siamesekit.training.plan import Plan, Validate
from siamesekit.training.progress import showing_progress
from siamesekit.training.run import Run

__all__ = ["Plan", "Validate", "train"]


def train(
    line: TrainingLine,
    items: Tensor | Items,
    labels: Tensor,
    sampler: Sampler,
    plan: Plan | None = None,
    *,
    augment: Augment | None = None,
    validate: Validate | None = None,
    callbacks: Sequence[EpochFunction | Callback | str] = (),
    checkpoint: Checkpoint | None = None,
    seed: int = 0,
    facts: Mapping[str, Any] | None = None,
) -> History:
    """Train `line` in place.

    Parameters
    ----------
    line : TrainingLine
        Built, and on the device where it is to train.
    items : Tensor of uint8, bool or float, or Items, shape (n, c, h, w) or (n, f)
        A tensor is on the line's device, or on the CPU where the device has not the room.
    labels : Tensor of int64, shape (n,)
    sampler : Sampler
        Bound to `labels`.
    plan : Plan, optional
    augment : callable, optional
        Changes a float batch with draws from the generator that it is given.
    validate : callable, optional
        Scores the line after every epoch. The weights of the best epoch are kept (the later of
        equals).
    callbacks : sequence of callable, Callback or str
        Each `Callback`, or one by its name, is told of the start, of every epoch and of the end,
        and may end training in good order. A plain function is called after every epoch with the
        line and the `History`; what it raises ends training, and comes out of it. Training that is
        ended so leaves a whole checkpoint, and in the line what was learned. Of several processes,
        each calls the functions, and the first alone the others.
    checkpoint : Checkpoint, optional
        Written as training goes; where this run has one already, training goes on from there, and
        ends as if it had never stopped.
    seed : int
        Of dropout and augmentation.
    facts : mapping, optional
        What else a checkpoint of this run has to agree with (see
        `siamesekit.training.fingerprint`): name to value.

    Returns
    -------
    History
        ``loss``, ``seconds``, ``learning_rate``, the numbers of `batch_health`, ``skipped`` (how
        many steps) and, where there is a `validate`, ``validation``; one number an epoch. Empty
        where there is nothing to train: no epoch, or no weight that wants a gradient. The line is
        then left as it is, in ``eval()`` mode.

    Raises
    ------
    InvalidParameterError
        If ``plan.patience``, or a schedule that follows the validation score, is given without
        `validate`, or an argument is not what it is to be.
    UnknownPartError
        If there is no callback of a name.
    SavedModelError
        If the checkpoint cannot be read or written.
    CheckpointMismatchError
        If the checkpoint is of another run.
    TrainingDivergedError
        If no step of a whole epoch is finite, or too many in a row are not. The line then has the
        best weights validated or, without validation, the last ones that gave finite numbers.

    Warns
    -----
    TrainingHealthWarning
        If a step is not finite, or training collapses.
    UserWarning
        If a `Callback` fails after the start: it is not called again.

    Notes
    -----
    A step whose embeddings, loss, gradients or statistics are not finite changes nothing: not the
    weights, buffers, the optimiser, the schedule's place, the average, nor what the loss remembers.
    """
    check_kind("line", line, TrainingLine)
    check_kind("sampler", sampler, Sampler)
    check_kind("plan", plan, Plan, none=True)
    check_kind("checkpoint", checkpoint, Checkpoint, none=True)
    check_integer("seed", seed, low=0)
    own = as_protocol(items)
    _check_labels(labels, len(own))
    if augment is not None:
        check_callable("augment", augment, "(batch, generator) -> batch")
    plan = plan or Plan()
    if plan.patience is not None and validate is None:
        raise InvalidParameterError("patience needs a validation; got validation=None.")
    check_callbacks("callbacks", callbacks)
    if validate is not None:
        check_callable("validate", validate, "(line) -> score")
    # Whatever mode the caller is in: without gradients nothing would be learned.
    with torch.inference_mode(False), torch.enable_grad(), joined() as team:
        marks = None
        if checkpoint is not None or team is not None:
            marks = fingerprint(line, own, sampler, plan, augment, validate, seed, facts)
        if team is not None and marks is not None:
            team.agree(_what_all_must_have(marks, plan, checkpoint))
        run = Run(line, own, labels, sampler, plan, augment, seed)
        run.check_validation(validate)
        file = None
        if checkpoint is not None and marks is not None and run.weights:
            file = checkpoint.of_run(marks, plan.max_epochs)
            if (state := by_the_first(team, file.read)) is not None:
                with file.explaining():
                    run.load_state_dict(state)
        if not run.is_over():
            listeners = Listeners(callbacks, team)
            with _compiling(run, own), showing_progress(bool(plan.verbose)):
                _train(run, listeners, validate, file)
            run.finish()
            listeners.end(run.record)
        else:
            run.finish()
    return run.history


def _train(run: Run, listeners: Listeners, validate: Validate | None, file: RunFile | None) -> None:
    """Train epoch by epoch, until there is none to come or a callback ends it."""
    ended = listeners.start(run.record)
    quiet = not (run.plan.verbose and run.leads)
    with tqdm(total=run.plan.max_epochs, disable=quiet, unit="epoch") as bar:
        bar.update(run.history.epochs)
        while not ended:
            numbers = run.epoch(validate)
            bar.set_postfix(
                {k: f"{numbers[k]:.4g}" for k in ("loss", "validation") if k in numbers}
            )
            bar.update()
            try:
                told = listeners.epoch(run.line, run.history, run.record)
            except BaseException:
                _keep(run, file)
                raise
            ended = run.is_over() or told
            if file is not None and file.due(run.history.epochs, ended):
                by_the_first(run.team, lambda: file.write(run.state_dict()))


def _keep(run: Run, file: RunFile | None) -> None:
    """Write and leave in the line what was learned; without a word to the other processes."""
    if file is not None and run.leads:
        file.write(run.state_dict())
    with suppress(TrainingDivergedError):
        run.finish()


def _compiling(run: Run, items: Items) -> AbstractContextManager[None]:
    if not run.plan.compile or run.is_over():
        return nullcontext()
    some = torch.arange(min(2, len(items)))
    return compiled(run.line, as_float(items.take(some).to(run.device)))


def _what_all_must_have(
    marks: Mapping[str, str], plan: Plan, checkpoint: Checkpoint | None
) -> dict[str, str]:
    # The weights are those of the first process.
    own = {name: mark for name, mark in marks.items() if name != "weights"}
    written = None if checkpoint is None else checkpoint.every
    return {**own, "max_epochs": str(plan.max_epochs), "checkpoint": str(written)}


def _check_labels(labels: object, n: int) -> None:
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (n,):
        found = (
            f"{labels.dtype} of shape {tuple(labels.shape)}"
            if isinstance(labels, Tensor)
            else shown(labels)
        )
        raise InvalidDataError(
            f"labels must be a tensor of int64, one an item, of shape ({n},); got {found}."
        )
