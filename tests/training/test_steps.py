"""A step that is not finite changes nothing, is counted, and too many of them end training."""

import copy
import math
import warnings
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from siamesekit.errors import SiamesekitError, TrainingDivergedError
from siamesekit.training import History, TrainingHealthWarning, TrainingLine

Make = Callable[..., TrainingLine]
Fit = Callable[..., History]


class Poisoned(nn.Module):
    """Gives what is not finite in the batches of training that are named."""

    def __init__(self, *batches: int, poison: float = math.nan) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
        self.batches = batches
        self.poison = poison
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
            if self.calls in self.batches:
                x = torch.cat([x[:1] * self.poison, x[1:]])
        out: Tensor = self.net(x)
        return out


def state(line: TrainingLine) -> dict[str, Tensor]:
    return copy.deepcopy(line.state_dict())


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def _watch(line: TrainingLine, seen: list[dict[str, Tensor]], *_: object) -> None:
    seen.append(state(line))


LINES = [
    ("cosine", "episodic", None),
    ("euclidean", "triplet", "semihard"),
    ("sqeuclidean", "triplet", "hard"),
    ("squared", "bce", None),
    ("l1", "bce", None),
    ("cosine", "cross-batch-memory", None),
]


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
@pytest.mark.parametrize("poison", [math.nan, -math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("head", "loss", "miner"), LINES)
def test_a_bad_step_changes_nothing(
    make: Make, fit: Fit, head: str, loss: str, miner: str | None, poison: float
) -> None:
    """The line after one good and three bad steps is the line after one good step."""
    states = {}
    for bad in ((), (2, 3, 4)):
        line = make(partial(Poisoned, *bad, poison=poison), head, loss, miner)
        before: list[dict[str, Tensor]] = []

        # Batch k + 1 shows what step k left.
        hook = partial(_watch, line, before)
        line.backbone.register_forward_pre_hook(hook)
        history = fit(line, max_epochs=1)
        assert history["skipped"] == [float(len(bad))]
        states[bad] = [*before, state(line)]
    first_step = states[()][1]
    assert not equal(states[()][0], first_step)
    assert equal(states[(2, 3, 4)][4], first_step)


def test_it_is_warned_of_once(make: Make, fit: Fit) -> None:
    with pytest.warns(TrainingHealthWarning, match="nan.*learning rate") as caught:
        history = fit(make(Poisoned(2, 5, 6)))
    assert len(caught) == 1
    assert history["skipped"] == [1.0, 2.0, 0.0]
    assert all(math.isfinite(loss) for loss in history["loss"])


def test_the_average_takes_no_bad_step_in(make: Make, fit: Fit) -> None:
    line = make(Poisoned(2))
    with pytest.warns(TrainingHealthWarning):
        fit(line, averaging=0.5)
    assert all(bool(value.isfinite().all()) for value in line.state_dict().values())


def test_a_gradient_that_is_not_finite_is_a_bad_step(make: Make, fit: Fit) -> None:
    class Root(nn.Module):
        """Has a finite value and an infinite slope in its first batch."""

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 8)
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            out: Tensor = self.net(x)
            return out + (out[:, :1] * 0).sqrt() if self.calls == 1 else out

    line = make(Root())
    with pytest.warns(TrainingHealthWarning, match="gradients of a batch"):
        fit(line)
    assert all(bool(value.isfinite().all()) for value in line.parameters())


def test_statistics_that_overflow_are_a_bad_step(make: Make, fit: Fit) -> None:
    """A batch variance of 1e40 is infinite in float32, where the embeddings are finite."""
    line = make(nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 8)))

    def outlier(x: Tensor, generator: torch.Generator) -> Tensor:
        return x * 1e20

    with pytest.raises(TrainingDivergedError), pytest.warns(TrainingHealthWarning, match="statist"):
        fit(line, augment=outlier)
    assert all(bool(value.isfinite().all()) for value in line.state_dict().values())


def test_a_whole_epoch_of_bad_steps_ends_training_and_good_weights_are_kept(
    make: Make, fit: Fit
) -> None:
    line = make(Poisoned(*range(9, 500)))
    kept: list[dict[str, Tensor]] = []
    with (
        pytest.warns(TrainingHealthWarning),
        pytest.raises(TrainingDivergedError, match=r"epoch 4: 8 steps in a row.*learning rate"),
    ):
        fit(line, max_epochs=50, callbacks=[lambda line, history: kept.append(state(line))])
    assert isinstance(TrainingDivergedError(), SiamesekitError | RuntimeError)
    assert len(kept) == 3
    assert equal(kept[1], state(line))


def test_no_good_step_at_all_is_an_error_however_short_training_is(make: Make, fit: Fit) -> None:
    with pytest.warns(TrainingHealthWarning), pytest.raises(TrainingDivergedError):
        fit(make(Poisoned(*range(1, 99))), max_epochs=1)


def test_weights_that_overflow_are_put_back(make: Make, fit: Fit) -> None:
    line = make(nn.Linear(6, 8), "sqeuclidean", "triplet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(TrainingDivergedError):
            fit(line, optimizer="sgd", learning_rate=1e38, max_epochs=9)
    assert all(bool(value.isfinite().all()) for value in line.parameters())


def test_validated_weights_are_kept_when_training_diverges(make: Make, fit: Fit) -> None:
    seen: list[dict[str, Tensor]] = []

    def validate(line: TrainingLine) -> float:
        seen.append(state(line))
        return 1.0 / len(seen)

    line = make(Poisoned(*range(9, 99)))
    with pytest.warns(TrainingHealthWarning), pytest.raises(TrainingDivergedError):
        fit(line, max_epochs=9, validate=validate)
    assert equal(seen[0], state(line))


def test_what_a_loss_keeps_in_plain_attributes_is_put_back(make: Make, fit: Fit) -> None:
    line = make(Poisoned(2))
    own = type(line.loss)

    class Remembering(own):  # type: ignore[misc, valid-type]
        def forward(self, inputs: Tensor, labels: Tensor, *more: object) -> Tensor:
            self.total = self.total + inputs.detach().sum()
            self.seen.append(inputs.detach())
            out: Tensor = super().forward(inputs, labels, *more)
            return out

    line.loss.__class__ = Remembering
    line.loss.total, line.loss.seen = torch.zeros(()), []
    with pytest.warns(TrainingHealthWarning):
        fit(line, max_epochs=1)
    assert bool(line.loss.total.isfinite())
    assert len(line.loss.seen) == 3


class Renormed(nn.Linear):
    """Gives its weights a length as it computes, in place or by another tensor."""

    in_place = True

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place:
            self.weight.data.renorm_(2, 0, 1e-2)
        else:
            self.weight.data = self.weight.data.renorm(2, 0, 1e-2)
        return super().forward(x)


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
@pytest.mark.parametrize("in_place", [True, False])
def test_weights_that_a_network_changes_itself_are_put_back(
    make: Make, fit: Fit, in_place: bool
) -> None:
    line = make(Poisoned(2, 3))
    line.backbone.net[2] = Renormed(8, 8)
    line.backbone.net[2].in_place = in_place
    seen: list[dict[str, Tensor]] = []
    line.backbone.register_forward_pre_hook(partial(_watch, line, seen))
    assert fit(line, max_epochs=1)["skipped"] == [2.0]
    assert not equal(seen[0], seen[1])
    assert equal(seen[1], seen[2])
    assert equal(seen[1], seen[3])


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
def test_weights_that_a_loss_changes_itself_are_put_back(make: Make, fit: Fit) -> None:
    line = make(Poisoned(2, 3), "cosine", "pml:P2SGradLoss", None)
    seen: list[dict[str, Tensor]] = []
    line.backbone.register_forward_pre_hook(partial(_watch, line, seen))
    assert fit(line, max_epochs=1)["skipped"] == [2.0]
    assert not equal(seen[0], seen[1])
    assert equal(seen[1], seen[2])
    assert equal(seen[1], seen[3])
