"""Every miner of pytorch-metric-learning that is listed chooses, and training on it learns."""

import inspect
import pickle

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.errors import UnknownPartError
from siamesekit.miners import pml

pytest.importorskip("pytorch_metric_learning")

MINERS = [f"pml:{name}" for name in pml.fitting()]


@pytest.mark.parametrize("name", MINERS)
def test_every_listed_miner_helps_a_loss_to_learn(name: str) -> None:
    X, y = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    X = X.float() / 16
    with drawing_from(0):
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
        loss = registry.create("losses", "pml:TripletMarginLoss")
        miner = registry.create("miners", name)
        optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)

        before, chosen = nearest_is_same(net(X[1000:1400]), y[1000:1400]), 0
        for step in range(40):
            index = torch.randperm(1000, generator=torch.Generator().manual_seed(step))[:64]
            z = net(X[index])
            tuples = miner(z, y[index])
            chosen += len(tuples[0])
            value = loss(z, y[index], tuples)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert chosen > 0
    assert nearest_is_same(net(X[1000:1400]), y[1000:1400]) > before


def nearest_is_same(z: Tensor, y: Tensor) -> float:
    unit = nn.functional.normalize(z.detach(), dim=1)
    return float((y[(unit @ unit.T).fill_diagonal_(-2).argmax(1)] == y).double().mean())


def test_all_public_miners_are_listed_or_excused() -> None:
    from pytorch_metric_learning import miners

    public = {name for name, _ in inspect.getmembers(miners, inspect.isclass)}
    assert {m.removeprefix("pml:") for m in MINERS} | set(pml.UNFIT) == public


def test_miners_pickle_and_unfit_ones_say_why() -> None:
    miner = registry.create("miners", "pml:MultiSimilarityMiner", epsilon=0.3)
    assert pickle.loads(pickle.dumps(miner)).inner.epsilon == 0.3
    assert registry.name_of("miners", miner) == "pml:MultiSimilarityMiner"
    with pytest.raises(UnknownPartError, match="order"):
        registry.get("miners", "pml:EmbeddingsAlreadyPackagedAsTriplets")
