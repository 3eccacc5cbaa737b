"""An epoch of training of Omniglot's size, on noise."""

import time

import torch

from siamesekit import registry
from siamesekit.losses import EpisodicLoss
from siamesekit.samplers import EpisodeSampler
from siamesekit.training import Plan, TrainingLine, train

__all__ = ["seconds_of_an_epoch"]

SIDE = 28


def seconds_of_an_epoch(
    name: str, way: int, episodes: int, steps: int, precision: torch.dtype = torch.float32
) -> float:
    """Return the seconds of the second epoch; the first warms up.

    Parameters
    ----------
    name : str
        Of a backbone.
    way, episodes : int
        Classes of an episode, with one support and one query each; episodes of a batch.
    steps : int
        Batches in an epoch.
    precision : torch.dtype
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200).repeat_interleave(4)
    images = torch.rand(len(labels), 1, SIDE, SIDE, generator=generator)
    sampler = EpisodeSampler(way=way, episodes=episodes, n_batches=steps)
    backbone = registry.create("backbones", name).build((1, SIDE, SIDE))
    head = registry.create("heads", "cosine").build(64)
    line = TrainingLine(backbone, head, EpisodicLoss(way=way), precision=precision)
    ends: list[float] = []
    train(
        line,
        images,
        labels,
        sampler.bind(labels),
        Plan(max_epochs=2, optimizer="adamw"),
        callbacks=[lambda *_: ends.append(time.perf_counter())],
    )
    return ends[1] - ends[0]
