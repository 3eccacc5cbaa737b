"""What was found missing, and the comparisons by which it is found."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from siamesekit._random import drawing_from

__all__ = [
    "CLASSES",
    "DIM",
    "EACH",
    "SEED",
    "Findings",
    "are_equal",
    "batch_of",
    "check_gradient_of_weights",
    "check_takes",
    "is_close",
    "is_finite",
]

DIM = 8
CLASSES, EACH = 4, 4
SEED = 0

# Seconds that a part may take for what takes milliseconds, before it counts as endless.
_PATIENCE = 20.0


class Findings:
    """What was found missing, in plain words."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.unchecked: list[str] = []

    def leave(self, what: str) -> None:
        """Note what could not be checked here, and why."""
        self.unchecked.append(what)

    def expect(self, holds: object, message: str) -> None:
        """Note `message`, once, where something does not hold."""
        if not holds and message not in self.missing:
            self.missing.append(message)

    def expect_tensor(self, value: object, what: str) -> bool:
        """Return whether `value` is a Tensor; note it where it is none."""
        holds = isinstance(value, Tensor)
        self.expect(holds, f"{what} must return a Tensor; got {type(value).__name__}")
        return holds

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Note an exception as a finding, so that the checks after it still run."""
        try:
            yield
        except Exception as error:
            self.missing.append(f"{what} raises {type(error).__name__}: {error}")

    def attempt_in_time(self, what: str, action: Callable[[], Any]) -> Any:
        """Return what `action` returns; None, and a finding, if it raises or does not end."""
        outcome: list[Any] = []

        def run() -> None:
            with drawing_from(SEED), self.attempt(what):
                outcome.append(action())

        # A thread that never ends cannot be stopped; as a daemon it keeps nobody waiting.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(_PATIENCE)
        self.expect(not thread.is_alive(), f"{what} does not end within {_PATIENCE:g} s")
        return outcome[0] if outcome else None


def batch_of(takes: str) -> tuple[Tensor, Tensor]:
    """Return what a loss or a miner takes, and labels: four items of each of four classes."""
    embeddings = nn.functional.normalize(torch.randn(CLASSES * EACH, DIM), dim=1)
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    scores = -torch.cdist(embeddings, embeddings)
    return (embeddings if takes == "embeddings" else scores), labels


def check_takes(part: Any, found: Findings) -> None:
    found.expect(
        part.takes in ("scores", "embeddings"),
        f"takes must be 'scores' or 'embeddings'; got {part.takes!r}",
    )


def check_gradient_of_weights(part: nn.Module, outputs: Tensor, found: Findings) -> None:
    weights = {name: w for name, w in part.named_parameters() if w.requires_grad}
    if outputs.requires_grad:
        (outputs * torch.randn_like(outputs)).sum().backward()  # type: ignore[no-untyped-call]
    without = [name for name, weight in weights.items() if not is_finite(weight.grad)]
    found.expect(not without, f"no finite gradient reaches its weights {', '.join(without)}")


def is_finite(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.isfinite().all())


def is_close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def are_equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))
