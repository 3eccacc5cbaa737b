"""The sentence that says how a figure was made, from its facts and from nothing else."""

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["TASKS", "sentence"]


class _Facts(Protocol):
    @property
    def task(self) -> str: ...
    @property
    def n_episodes(self) -> int: ...
    @property
    def n_trials(self) -> int: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def tested_classes(self) -> tuple[Any, ...] | None: ...
    @property
    def trained_classes(self) -> tuple[Any, ...] | None: ...
    @property
    def chosen_classes(self) -> tuple[Any, ...] | None: ...


def sentence(facts: _Facts) -> str:
    """Return how trials were made, on which classes, and how the interval was computed.

    The part behind the last semicolon is the interval's.
    """
    return "; ".join([*TASKS[facts.task](facts), *_classes(facts), _INTERVALS[facts.task]])


def _episodes(facts: _Facts) -> list[str]:
    asked = facts.parameters
    shot, queries = asked["shot"], asked["queries"]
    where = "within one group" if asked["within"] else "across all classes"
    drawn = ", supports of one drawer and queries of another" if asked["drawers"] else ""
    each = f"{queries} {'query' if queries == 1 else 'queries'} a class"
    aggregate = f", {asked['aggregate']} of supports" if shot > 1 else ""
    left_out = asked["left_out"]
    return [
        f"{facts.n_episodes} {asked['way']}-way {shot}-shot episodes {where}{drawn}, "
        f"{each}{aggregate}",
        *([f"left out: {', '.join(map(str, left_out))}"] if left_out else []),
    ]


def _runs(facts: _Facts) -> list[str]:
    ways = sorted(set(facts.parameters["ways"]))
    way = f"{ways[0]}-way" if len(ways) == 1 else f"{ways[0]}- to {ways[-1]}-way"
    return [
        f"{facts.n_episodes} given runs of {way} one-shot classification within an alphabet, "
        "supports of one drawer and queries of another"
    ]


def _verification(facts: _Facts) -> list[str]:
    share = facts.parameters["share_same"]
    return [
        f"{facts.n_trials} pairs, {share:.0%} of one class, at a threshold chosen on other pairs"
    ]


TASKS = {"episodes": _episodes, "runs": _runs, "verification": _verification}
_INTERVALS = {
    "episodes": "95 % interval: Student's t over episodes, widened near 0 and 1 to Wilson's",
    "runs": "95 % interval: Wilson's over trials",
    "verification": "95 % interval: Wilson's over pairs",
}


def _classes(facts: _Facts) -> list[str]:
    """Return which classes were tested and which were not, as far as it is known."""
    if facts.tested_classes is None:
        return []
    tested = f"{_counted(facts.tested_classes)} tested"
    others = {"trained on": facts.trained_classes, "chosen on": facts.chosen_classes}
    seen = [f"of the {len(own)} {what}" for what, own in others.items() if own]
    return [f"{tested}, none {' or '.join(seen)}" if seen else tested]


def _counted(classes: tuple[Any, ...]) -> str:
    return f"{len(classes)} class{'es' * (len(classes) != 1)}"
