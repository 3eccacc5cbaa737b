"""What a batch says of its health costs little, and is what the loss has counted."""

from dataclasses import replace

import pytest
import torch

from siamesekit import registry
from siamesekit.training import TrainingLine, batch_health, health


@pytest.mark.parametrize("loss", ["batch-all", "triplet"])
@pytest.mark.parametrize("margin", [0.0, 0.2, 5.0])
def test_triplets_that_the_loss_counted_are_not_sorted_again(
    loss: str, margin: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    line = TrainingLine(
        torch.nn.Identity(),
        registry.create("heads", "euclidean"),
        registry.create("losses", loss, margin=margin),
    )
    labels = torch.arange(4).repeat_interleave(5)
    charge = line(torch.randn(20, 3, generator=generator), labels)
    counted_anew = batch_health(replace(charge, counted=None), margin)
    # Sorting would begin with the rows of the anchors.
    monkeypatch.delattr(health, "AnchorRows")
    for name, value in batch_health(charge, margin).items():
        assert torch.equal(value, counted_anew[name]), name


def test_a_batch_without_triplets_has_no_share_of_active_ones() -> None:
    line = TrainingLine(
        torch.nn.Identity(),
        registry.create("heads", "cosine"),
        registry.create("losses", "batch-all"),
    )
    found = batch_health(line(torch.randn(3, 2), torch.zeros(3, dtype=torch.int64)), 0.2)
    assert found["active"].isnan()
    assert found["distance_different"].isnan()
