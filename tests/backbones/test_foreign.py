"""Any network inside a wrapper: views, tuples, work in place."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.backbones import TurnedNet, WhitenedNet
from siamesekit.errors import InvalidDataError

SHAPE = (2, 8, 8)


class Foreign(nn.Module):
    """Flattens by view, works in place, and returns more than the embeddings."""

    def __init__(self, returns: str = "tuple") -> None:
        super().__init__()
        self.dense = nn.Linear(128, 6)
        self.returns = returns

    def forward(self, x: Tensor) -> Any:
        x.mul_(2).sub_(1)
        z = self.dense(x.view(x.size(0), -1))
        given = {"tuple": (z, x), "mapping": {"last": x, "pooler_output": z}, "text": "no"}
        return given[self.returns]


@pytest.mark.parametrize("wrap", [TurnedNet, WhitenedNet, lambda net: TurnedNet(WhitenedNet(net))])
@pytest.mark.parametrize("returns", ["tuple", "mapping"])
def test_any_network_may_be_wrapped(wrap: Any, returns: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((24, *SHAPE), np.float32), np.arange(24) % 4
    before = X.copy()
    clf = SiameseClassifier(wrap(Foreign(returns)), max_epochs=1, random_state=0).fit(X, y)
    assert clf.transform(X).shape[0] == 24
    np.testing.assert_array_equal(X, before)


def test_what_holds_no_embeddings_is_named() -> None:
    network = WhitenedNet(Foreign("text")).build(SHAPE)
    with pytest.raises(InvalidDataError, match="backbone Foreign must return embeddings"):
        network(torch.rand(2, *SHAPE))
