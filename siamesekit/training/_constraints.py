"""What the arguments of a plan may be: the rows that estimators share."""

from siamesekit._checks import Check, check_flag, choice, integer, number, optional, or_callable

__all__ = ["OPTIMIZERS", "PLAN", "SCHEDULES"]

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "one-cycle")

PLAN: dict[str, Check] = {
    "max_epochs": integer(0),
    "learning_rate": number(0.0, open_low=True),
    "weight_decay": number(0.0),
    "optimizer": or_callable(choice(OPTIMIZERS), "(line) -> optimizer"),
    "schedule": or_callable(choice(SCHEDULES), "(optimizer, steps) -> schedule"),
    "averaging": optional(number(0.0, 1.0, open_low=True, open_high=True)),
    "patience": optional(integer(1)),
    "chunk_size": optional(integer(1)),
    "compile": check_flag,
    "verbose": check_flag,
}
"""A check for each argument of `siamesekit.training.Plan`."""
