"""Training under DistributedDataParallel, in a team of one process."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from siamesekit._random import drawing_from
from siamesekit.backbones import MLP
from siamesekit.heads import Head
from siamesekit.heads.l1 import L1Head
from siamesekit.heads.sqeuclidean import SqEuclideanHead
from siamesekit.losses import Loss
from siamesekit.losses.bce import BCELoss
from siamesekit.losses.triplet import TripletLoss
from siamesekit.testing._findings import CLASSES, DIM, EACH, SEED, Findings, is_close
from siamesekit.training.line import TrainingLine

__all__ = ["check_with_ddp"]

_WAIT = timedelta(seconds=30)
_STEPS = 2


def check_with_ddp(
    found: Findings,
    *,
    backbone: nn.Module | None = None,
    head: Head | None = None,
    loss: Loss | None = None,
    items: Tensor | None = None,
) -> None:
    """Train a line with one part in it twice, alone and wrapped; the gradients must be equal.

    Nothing is checked of a part in which something is missing already.

    Parameters
    ----------
    found : Findings
        Takes what is missing.
    backbone, head, loss : nn.Module, Head, Loss, optional
        The part, built for embeddings of 8 numbers (a backbone for `items`); plain ones stand in
        for the others.
    items : Tensor of float, shape (16, …), optional
        Four of each of four classes; vectors by default.
    """
    if found.missing:
        return  # It would stumble over the same again.
    if not dist.is_available() or not dist.is_gloo_available() or dist.is_initialized():
        found.leave(
            "training under DistributedDataParallel, which needs torch with gloo and no process "
            "group that is there already"
        )
        return
    if items is None:
        items = torch.rand(CLASSES * EACH, 5)
    if loss is None:
        loss = BCELoss() if head is not None and head.gives == "logit" else TripletLoss()
    if head is None:
        head = L1Head().build(DIM) if loss.wants == "logit" else SqEuclideanHead()
    line = TrainingLine(
        backbone or MLP((), units=DIM).build(tuple(items.shape[1:])),
        head,
        loss,
    )
    if not any(weight.requires_grad for weight in line.parameters()):
        return  # nothing to train
    with found.attempt("training under DistributedDataParallel"):
        alone = _gradients(copy.deepcopy(line), items)
        with _team_of_one():
            wrapped = _gradients(DistributedDataParallel(copy.deepcopy(line)), items)
        other = [name for name in alone if not is_close(alone[name], wrapped[f"module.{name}"])]
        found.expect(
            not other,
            "under DistributedDataParallel with one process the gradient must be as without; "
            f"another one reaches {', '.join(other)}",
        )


def _gradients(line: nn.Module, items: Tensor) -> Mapping[str, Tensor]:
    """Return the gradients of the last of some steps; a weight without one has zeros."""
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    line.train()
    # What drops out drops out alike.
    with drawing_from(SEED):
        for _ in range(_STEPS):
            line.zero_grad()
            line(items, labels).loss.backward()
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad
        for name, weight in line.named_parameters()
    }


@contextmanager
def _team_of_one() -> Iterator[None]:
    # A store in memory: no port and no file that others could meet.
    store = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1, timeout=_WAIT)
    try:
        yield
    finally:
        dist.destroy_process_group()
