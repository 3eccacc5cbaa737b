"""Embeddings in all turns of an image."""

from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from siamesekit._types import Triplets
from siamesekit.backbones import MLP, ResidualNet, TurnedNet, WhitenedNet
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.heads import CosineHead, EuclideanHead, Head, L1Head, SqEuclideanHead
from siamesekit.losses import BatchAllTripletLoss, BCELoss, Loss, TripletLoss
from siamesekit.miners import BatchHard, Miner
from siamesekit.training import TrainingLine

SHAPE = (1, 12, 12)


def images(n: int) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net() -> TurnedNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TurnedNet(ResidualNet(widths=(4, 8)), moved=2).build(SHAPE).eval()


def test_cosine_is_the_mean_of_the_cosines_in_each_turn() -> None:
    net = TurnedNet(ResidualNet(widths=(4, 8))).build(SHAPE).eval()
    a, b = images(2).split(1)
    assert net.network is not None
    views = [torch.rot90(side, k, (2, 3)) for side in (a, a.flip(3)) for k in range(4)]
    others = [torch.rot90(side, k, (2, 3)) for side in (b, b.flip(3)) for k in range(4)]
    cosines = [
        torch.cosine_similarity(net.network.inner(x), net.network.inner(y))
        for x, y in zip(views, others, strict=True)
    ]
    torch.testing.assert_close((net(a) * net(b)).sum(1), torch.stack(cosines).mean(0))


def test_embeddings_are_units_and_depend_on_their_own_image(net: TurnedNet) -> None:
    x = images(5)
    with torch.no_grad():
        z = net(x)
        torch.testing.assert_close(z.norm(dim=1), torch.ones(5))
        torch.testing.assert_close(net(x[2:3]), z[2:3])


def test_a_turned_image_has_the_same_views_in_another_order(net: TurnedNet) -> None:
    plain = TurnedNet(net.backbone, mirrored=False).build(SHAPE).eval()
    x = images(3)
    with torch.no_grad():
        z, turned = plain(x), plain(torch.rot90(x, 1, (2, 3)))
    torch.testing.assert_close(turned, z.unflatten(1, (4, -1)).roll(-1, 1).flatten(1))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3])
def test_embeddings_turn_as_their_images_do(net: TurnedNet, mirrored: bool, turns: int) -> None:
    turned = TurnedNet(net.backbone, mirrored=mirrored, moved=1).build(SHAPE).eval()
    x = images(3)
    with torch.no_grad():
        expected = turned(torch.rot90(x, turns, (2, 3)))
        torch.testing.assert_close(turned.turn(turned(x), turns), expected)


def test_training_sees_an_image_once_and_embeds_at_the_same_length(net: TurnedNet) -> None:
    seen = []
    assert net.network is not None
    net.network.inner.register_forward_hook(lambda *args: seen.append(len(args[1][0])))
    z = net.train()(images(6))
    assert seen == [6]
    assert z.shape == net.eval()(images(6)).shape
    torch.testing.assert_close(z.norm(dim=1), torch.ones(6))


def test_weights_count_once() -> None:
    inner = ResidualNet(widths=(4, 8)).build(SHAPE)
    net = TurnedNet(inner).build(SHAPE)
    own = sum(p.numel() for p in inner.parameters())
    assert sum(p.numel() for p in net.parameters()) == own
    assert sum(v.numel() for v in net.state_dict().values()) == sum(
        v.numel() for v in inner.state_dict().values()
    )
    first, second = next(inner.parameters()), next(net.parameters())
    assert torch.equal(first, second)
    assert first.data_ptr() != second.data_ptr()


def test_parameters_reach_the_inner_network() -> None:
    net = TurnedNet(ResidualNet()).set_params(backbone__widths=(4, 8), moved=1)
    assert net.get_params()["backbone__widths"] == (4, 8)
    assert net.moved == 1


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidParameterError, match="moved"):
        TurnedNet(moved=-1)
    with pytest.raises(InvalidParameterError, match="backbone must be"):
        TurnedNet(5)  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError, match="square"):
        TurnedNet().build((1, 12, 16))
    with pytest.raises(InvalidDataError, match="8 views"):
        TurnedNet().turn(torch.rand(2, 6), 1)
    with pytest.raises(InvalidDataError):
        TurnedNet(MLP()).build((12,))


class LongerIsFarther(SqEuclideanHead):
    """A head of somebody's own that does not say that copies score as one does."""

    def build(self, dim: int) -> Self:
        self.weights = torch.linspace(1, 2, dim)
        return super().build(dim)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return super().forward(a * self.weights, b * self.weights)


@pytest.mark.parametrize("head", [CosineHead(), EuclideanHead(), SqEuclideanHead()])
@pytest.mark.parametrize("mirrored", [False, True])
def test_one_copy_in_training_scores_and_trains_as_all_do(head: Head, mirrored: bool) -> None:
    x, labels = images(8).double(), torch.arange(8) % 4
    net = TurnedNet(ResidualNet(widths=(4, 8), norm="group"), mirrored=mirrored).build(SHAPE)
    line = TrainingLine(net.double(), head, BatchAllTripletLoss()).train()
    charge = line(x, labels)
    charge.loss.backward()
    grads = [weight.grad.clone() for weight in net.parameters()]
    net.zero_grad()
    assert len(charge.embeddings[0]) == line.embed(x).shape[1]

    z = net(x)
    assert z.shape[1] == (8 if mirrored else 4) * charge.embeddings.shape[1]
    scores = head(z.float(), z.float())
    torch.testing.assert_close(charge.scores, scores.detach(), rtol=1e-4, atol=1e-6)
    line.charge(z.float(), labels).loss.backward()
    for one, all_of_them in zip(grads, net.parameters(), strict=True):
        torch.testing.assert_close(one, all_of_them.grad, rtol=1e-3, atol=1e-6)


class HardByEmbeddings(BatchHard):
    takes = "embeddings"

    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        return super().__call__(-torch.cdist(inputs, inputs), labels)


class OfEmbeddings(Loss):
    takes = "embeddings"

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Any = None, start: int = 0) -> Tensor:
        return inputs.square().sum()


@pytest.mark.parametrize(
    ("head", "loss", "miner"),
    [
        (L1Head(), BCELoss(), None),
        (LongerIsFarther(), BatchAllTripletLoss(), None),
        (CosineHead(), TripletLoss(), HardByEmbeddings()),
        (CosineHead(), OfEmbeddings(), None),
    ],
)
def test_what_depends_on_the_length_meets_one_length(
    head: Head, loss: Loss, miner: Miner | None
) -> None:
    net = TurnedNet(ResidualNet(widths=(4, 8))).build(SHAPE)
    length = net.eval()(images(2)).shape[1]
    line = TrainingLine(net, head.build(length), loss, miner).train()
    assert line.embed(images(4)).shape == (4, length)
    assert line(images(4), torch.tensor([0, 0, 1, 1])).scores.isfinite().all()


def turned() -> TurnedNet:
    return TurnedNet(ResidualNet(widths=(4, 8), dim=4))


class Halved(TurnedNet):
    """A network of somebody's own, which goes on from all the copies."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unflatten(1, (2, 16)).sum(1)


class HalvedAround(WhitenedNet):
    """A network of somebody's own, which does not say that it is ``copywise``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unflatten(1, (2, 16)).sum(1)


class Mirrored(WhitenedNet):
    """A network of somebody's own, which says so itself."""

    copywise = True

    def forward(self, x: Tensor) -> Tensor:
        return -super().forward(x)


@pytest.mark.parametrize(
    ("network", "length"),
    [
        (WhitenedNet(turned()).build(SHAPE), 4),
        (TurnedNet(turned()).build(SHAPE), 32),
        (nn.Sequential(turned().build(SHAPE), nn.Linear(32, 6)), 6),
        (TurnedNet(nn.Sequential(turned().build(SHAPE), nn.Linear(32, 6))).build(SHAPE), 6),
        (Halved(ResidualNet(widths=(4, 8), dim=4)).build(SHAPE), 16),
        (HalvedAround(turned()).build(SHAPE), 16),
        (Mirrored(WhitenedNet(turned())).build(SHAPE), 4),
    ],
)
def test_copies_are_made_where_more_than_the_head_sees_them(
    network: nn.Module, length: int
) -> None:
    line = TrainingLine(network, CosineHead(), BatchAllTripletLoss()).train()
    assert line.embed(images(4)).shape == (4, length)


def test_training_on_one_copy_leaves_no_trace_in_a_network() -> None:
    net = turned().build(SHAPE)
    line = TrainingLine(net, CosineHead(), BatchAllTripletLoss()).train()
    line.embed(images(4))
    assert net(images(4)).shape == (4, 32)
    # By these a checkpoint knows it again, also one of an earlier version.
    assert vars(net.network).keys() - vars(nn.Module()).keys() == {"maps", "mirrored"}
