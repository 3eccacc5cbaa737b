import math

import pytest
import torch

from siamesekit.errors import InvalidParameterError
from siamesekit.losses import BCELoss


def test_score_is_a_logit_of_same() -> None:
    score = torch.tensor([2.0])
    p = 1 / (1 + math.exp(-2))
    assert BCELoss().pair_loss(score, torch.tensor([1])).item() == pytest.approx(-math.log(p))
    assert BCELoss().pair_loss(score, torch.tensor([0])).item() == pytest.approx(-math.log(1 - p))


def test_large_logits_stay_finite() -> None:
    loss = BCELoss().pair_loss(torch.tensor([-1e4, 1e4]), torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(1e4)


def test_label_smoothing_is_cheapest_at_its_own_logit() -> None:
    scores = torch.linspace(-6, 6, 1201)
    loss = BCELoss(label_smoothing=0.1)
    for same, target in ((1, 0.95), (0, 0.05)):
        charges = torch.stack([loss.pair_loss(s[None], torch.tensor([same])) for s in scores])
        best = scores[charges.argmin()].sigmoid().item()
        assert best == pytest.approx(target, abs=1e-3)


@pytest.mark.parametrize("value", [1.0, -0.1, "0.1"])
def test_label_smoothing_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(InvalidParameterError, match=r"label_smoothing must be .*\[0, 1\)"):
        BCELoss(label_smoothing=value)
