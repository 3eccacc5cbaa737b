"""Training in float16 with a scaled loss."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from siamesekit.errors import InvalidParameterError
from siamesekit.training import Checkpoint, History, TrainingLine, device, resolve_precision
from siamesekit.training.scaling import LossScaler

Make = Callable[..., TrainingLine]
Fit = Callable[..., History]

CPU = torch.device("cpu")


@pytest.fixture
def half(make: Make) -> Make:
    """Return a maker of lines that compute in float16."""
    if not device._computes_in_float16(CPU):
        pytest.skip("this processor does not compute in float16")

    def half(*parts: object) -> TrainingLine:
        line = make(*parts)
        line.precision = torch.float16
        return line

    return half


class Steep(nn.Module):
    """Has a gradient that only a small scale bears."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.2), nn.Linear(8, 8))
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x).half()
        # The value stays, the gradient is multiplied in float16.
        return out.detach() + self.gain * (out - out.detach())


@pytest.mark.parametrize("chunk_size", [None, 5])
def test_float16_trains_about_as_float32_does(
    make: Make, half: Make, fit: Fit, chunk_size: int | None
) -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8))
    whole = fit(make(copy.deepcopy(net), "l1", "bce"), max_epochs=10)
    line = half(net, "l1", "bce")
    history = fit(line, max_epochs=10, chunk_size=chunk_size)
    assert history["loss"][-1] == pytest.approx(whole["loss"][-1], abs=0.03)
    assert history["loss"][-1] < history["loss"][0]
    assert "loss_scale" not in whole
    assert history["skipped"] == [0.0] * 10
    assert all(math.log2(scale).is_integer() for scale in history["loss_scale"])
    assert {p.dtype for p in line.parameters()} == {torch.float32}


def test_an_overflow_takes_the_step_again(half: Make, fit: Fit) -> None:
    line = half(lambda: Steep(30000.0), "cosine", "episodic")
    before = copy.deepcopy(line.state_dict())
    history = fit(line, max_epochs=2)
    assert history["overflows"][0] > 0
    assert history["loss_scale"][0] < 2**16
    assert history["skipped"] == [0.0, 0.0]
    assert any(not torch.equal(v, before[n]) for n, v in line.state_dict().items())
    assert all(bool(p.isfinite().all()) for p in line.parameters())


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
def test_gradients_that_no_scale_helps_make_a_bad_step(half: Make, fit: Fit) -> None:
    class Root(nn.Module):
        """Has a finite value and an infinite slope in its first item of the first batch."""

        def __init__(self) -> None:
            super().__init__()
            self.net, self.steep = nn.Linear(6, 8), True

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net(x)
            return out + (out[:, :1] * 0).sqrt() if self.training and self.steep else out

    line = half(Root)
    sick = line.backbone

    def heal(*_: object) -> None:
        sick.steep = False  # type: ignore[assignment]

    history = fit(line, max_epochs=2, callbacks=[heal])
    assert history["skipped"] == [4.0, 0.0]
    assert history["loss_scale"][0] == 2.0**16  # the scale is not to blame


def test_a_resumed_run_goes_on_with_its_scale(half: Make, fit: Fit, tmp_path: Path) -> None:
    make_steep = lambda: half(lambda: Steep(30000.0), "cosine", "episodic")  # noqa: E731
    unbroken, resumed = make_steep(), make_steep()
    fit(unbroken, max_epochs=3, schedule="constant")
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make_steep(), max_epochs=1, schedule="constant", checkpoint=file)
    history = fit(resumed, max_epochs=3, schedule="constant", checkpoint=file)
    assert history["overflows"][1:] == [0.0, 0.0]
    assert all(map(torch.equal, unbroken.parameters(), resumed.parameters()))


def test_a_scale_that_cannot_be_is_refused() -> None:
    for state in (
        {"scale": 3.0, "since": 0},
        {"scale": 0.0, "since": 0},
        {"scale": 4.0, "since": -1},
    ):
        with pytest.raises(ValueError, match="loss scale"):
            LossScaler().load_state_dict(state)


def test_the_scale_grows_again() -> None:
    scaler = LossScaler()
    for _ in range(2000):
        scaler.grow()
    assert scaler.scale == 2.0**17


def test_a_device_without_float16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_computes_in_float16", lambda _: False)
    with pytest.raises(InvalidParameterError, match=r"'float16'.*'bfloat16' or 'float32'"):
        resolve_precision("float16", CPU, (1, 28, 28))
