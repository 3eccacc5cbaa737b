"""Several episodes in one batch: each query is charged within its own episode too."""

import torch
from torch.nn.functional import cross_entropy

from siamesekit.losses import EpisodicLoss


def test_a_query_is_charged_in_the_batch_and_in_its_episode() -> None:
    # Classes 7, 2 are one episode and 5, 0 the other, by order of appearance.
    labels = torch.tensor([7, 7, 2, 2, 5, 5, 0, 0])
    scores = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    loss = EpisodicLoss(temperature=0.5, both_ways=False, way=2)(scores, labels)
    logits = scores[1::2, 0::2] / 0.5
    whole = cross_entropy(logits, torch.arange(4))
    answers = torch.tensor([0, 1])
    parts = [cross_entropy(logits[k : k + 2, k : k + 2], answers) for k in (0, 2)]
    torch.testing.assert_close(loss, whole + (parts[0] + parts[1]) / 2)
