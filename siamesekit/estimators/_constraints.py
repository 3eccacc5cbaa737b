"""What the arguments of an estimator may be: one table, looked at before anything runs."""

import os

from siamesekit import registry
from siamesekit._checks import (
    Check,
    check_callable,
    check_flag,
    check_path,
    choice,
    integer,
    number,
    optional,
    or_callable,
    shown,
)
from siamesekit._random import check_random_state
from siamesekit._types import AGGREGATES
from siamesekit.errors import InvalidParameterError
from siamesekit.estimators._parts import make_augment
from siamesekit.estimators._unknown import check_unknown_label
from siamesekit.gallery._candidates import check_index
from siamesekit.training import Checkpoint, resolve_device
from siamesekit.training._constraints import PLAN
from siamesekit.training.callbacks import check_callbacks
from siamesekit.training.device import PRECISIONS

__all__ = ["CONSTRAINTS"]


_MOST_WORKERS = 1024


def _part(name: str, value: object) -> None:
    """Let a name that the registry knows pass, and a class or an instance of the right kind."""
    registry.check(registry.ARGUMENTS[name], value)


def _or_auto(check: Check) -> Check:
    return lambda name, value: (
        None if isinstance(value, str) and value == "auto" else check(name, value)
    )


def _index(name: str, value: object) -> None:
    check_index(value)


def _checkpoint(name: str, value: object) -> None:
    if isinstance(value, Checkpoint):
        return
    if not isinstance(value, str | os.PathLike):
        raise InvalidParameterError(
            f"{name} must be None, a path or a Checkpoint; got {shown(value)}."
        )
    check_path(name, value)


def _device(name: str, value: object) -> None:
    resolve_device(value)  # type: ignore[arg-type]


def _augment(name: str, value: object) -> None:
    # Whether it suits vectors is not asked here.
    make_augment(value, (1, 1, 1))


def _validation(name: str, value: object) -> None:
    share = number(0.0, 1.0, open_low=True, open_high=True)
    or_callable(share, "(line) -> score")(name, value)
    if callable(value):
        check_callable(name, value, "(line) -> score")


CONSTRAINTS: dict[str, Check] = {
    **PLAN,
    "backbone": _or_auto(_part),
    "head": _part,
    "loss": _or_auto(_part),
    "miner": optional(_part),
    "sampler": _or_auto(_part),
    "augment": optional(_augment),
    "aggregate": choice(AGGREGATES),
    "index": optional(_index),
    "enroll_training": check_flag,
    "unknown_label": optional(check_unknown_label),
    "fpir": number(0.0, 1.0, open_low=True, open_high=True),
    "validation": optional(_validation),
    "held_out": optional(number(0.0, 1.0, open_low=True, open_high=True)),
    "callbacks": check_callbacks,
    "checkpoint": optional(_checkpoint),
    "reader": optional(_part),
    "n_workers": optional(integer(0, _MOST_WORKERS)),
    "device": _device,
    "precision": choice(PRECISIONS),
    "random_state": check_random_state,
}
"""A check for each argument of an estimator's constructor."""
