import pytest
import torch

from siamesekit.errors import InvalidParameterError
from siamesekit.losses import ContrastiveLoss


@pytest.mark.parametrize(
    ("distance", "same", "charge"),
    [(0.0, 1, 0.0), (2.0, 1, 2.0), (0.5, 0, 1.125), (2.0, 0, 0.0), (3.0, 0, 0.0), (0.0, 0, 2.0)],
)
def test_hadsell_s_equation_4(distance: float, same: int, charge: float) -> None:
    loss = ContrastiveLoss(margin=2.0)
    scores = torch.tensor([-distance])
    assert loss.pair_loss(scores, torch.tensor([same])).item() == pytest.approx(charge)


@pytest.mark.parametrize("margin", [0, -1.0, "1"])
def test_margin_out_of_range_is_refused(margin: float) -> None:
    with pytest.raises(InvalidParameterError, match="margin must be"):
        ContrastiveLoss(margin)
