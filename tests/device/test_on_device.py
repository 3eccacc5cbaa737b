"""Every part on a device that has no float64, and how often a step makes the host wait."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit import SiameseClassifier, SiameseEmbedder, SiameseVerifier, registry
from siamesekit._random import drawing_from
from siamesekit.evaluation import share_of_ties
from siamesekit.gallery import PCAProjection
from siamesekit.heads import Head
from siamesekit.samplers import BalancedSampler
from siamesekit.training import Plan, TrainingLine, train

DIM, CLASSES, EACH = 8, 4, 6
HEADS = [name for name in registry.names("heads") if ":" not in name]
LOSSES = registry.names("losses")
MINERS = registry.names("miners")
# These make float64 of their own, or need what this device has not.
NOT_THERE = ("pml:SphereFaceLoss", "pml:LargeMarginSoftmaxLoss", "pml:P2SGradLoss")


def labels_of(classes: int = CLASSES, each: int = EACH) -> Tensor:
    return torch.arange(classes).repeat_interleave(each)


def embeddings(n: int = CLASSES * EACH) -> Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(0))


def head_of(name: str) -> Head:
    with drawing_from(0):
        head: Head = registry.create("heads", name).build(DIM).eval()
    return head


@pytest.mark.parametrize("name", HEADS)
def test_every_head_gives_the_same_and_the_same_gradient(name: str, elsewhere) -> None:  # type: ignore[no-untyped-def]
    found = []
    for device in ("cpu", elsewhere.device):
        z = embeddings().to(device).requires_grad_()
        head = head_of(name).to(device)
        scores = head(z, z)
        (scores.sum() + head.pairs(z, z.flip(0)).square().sum()).backward()
        found.append((scores.detach().cpu(), z.grad.cpu()))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MINERS)
def test_every_miner(name: str, elsewhere) -> None:  # type: ignore[no-untyped-def]
    miner = registry.create("miners", name)
    z, labels = embeddings(), labels_of()
    given = head_of("cosine")(z, z) if miner.takes == "scores" else z
    here = miner(given, labels)
    there = miner(given.to(elsewhere.device), labels.to(elsewhere.device))
    assert type(here) is type(there)
    if name != "pml:DistanceWeightedMiner" and "Uniform" not in name:  # these draw
        assert [set(x.tolist()) for x in here] == [set(x.cpu().tolist()) for x in there]


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in NOT_THERE])
def test_every_loss_and_its_gradient(name: str, elsewhere) -> None:  # type: ignore[no-untyped-def]
    labels, found = labels_of(), []
    for device in ("cpu", elsewhere.device):
        with drawing_from(0):
            loss = registry.create("losses", name).build(DIM, CLASSES).to(device)
        z = embeddings().to(device).requires_grad_()
        given = head_of("cosine").to(device)(z, z) if loss.takes == "scores" else z
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            value = loss(given, labels.to(device))
        value.backward()
        assert z.grad.count_nonzero()
        found.append((value.detach().cpu(), z.grad.cpu()))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-4)


def test_a_gradient_goes_through_what_is_written_part_by_part(elsewhere) -> None:  # type: ignore[no-untyped-def]
    found = []
    for device in ("cpu", elsewhere.device):
        z = embeddings().to(device).requires_grad_()
        parts = z.new_zeros(2, 3)
        for k in range(len(parts)):
            parts[k, 1] = z[:, k].square().sum()
        parts.t()[2:].copy_(z[:1, 5:7])
        parts.as_strided((4,), (1,), 2).exp().sum().backward()
        found.append(z.grad.cpu())
    torch.testing.assert_close(*found)


# -- how often the host waits in a step ---------------------------------------------------------

# One transfer says whether all is finite; what else is waited for, by line.
_STEP = 1
_LINES = [
    ("cosine-concat", "bce", None, 0),
    ("squared", "bce", None, 0),
    ("l1", "bce", None, 1),  # which weights are above 0
    ("cosine", "episodic", None, 1),  # who is query and who support
    ("l1", "episodic", None, 2),
    # What is mined has a size that the data decide.
    ("cosine", "batch-all", None, 10),
    ("cosine", "triplet", "semihard", 10),
    ("cosine", "triplet", "batch-hard", 4),
    ("cosine", "contrastive", "hard-pairs", 18),
]


def waits_of_training(elsewhere, parts: tuple[str, str, str | None], each: int, steps: int) -> int:  # type: ignore[no-untyped-def]
    head, loss, miner = parts
    with drawing_from(0):
        line = TrainingLine(
            nn.Linear(6, DIM),
            registry.create("heads", head).build(DIM),
            registry.create("losses", loss),
            None if miner is None else registry.create("miners", miner),
        ).to(elsewhere.device)
    labels = labels_of(CLASSES, steps * each)
    items = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(0))
    sampler = BalancedSampler(CLASSES, each).bind(labels, seed=0)
    assert len(sampler) == steps
    with elsewhere.counting() as waits:
        history = train(line, items, labels, sampler, Plan(max_epochs=1, learning_rate=0.01))
    assert history["skipped"] == [0]
    return waits.total()


def waits_of_a_step(elsewhere, *parts: str | None, each: int) -> float:  # type: ignore[no-untyped-def]
    short, long = (waits_of_training(elsewhere, parts, each, steps) for steps in (2, 6))  # type: ignore[arg-type]
    return (long - short) / 4


@pytest.mark.parametrize(("head", "loss", "miner", "more"), _LINES)
def test_a_step_waits_seldom_and_as_often_for_a_large_batch(  # type: ignore[no-untyped-def]
    elsewhere, head: str, loss: str, miner: str | None, more: int
) -> None:
    small, large = (waits_of_a_step(elsewhere, head, loss, miner, each=each) for each in (3, 12))
    assert small <= _STEP + more
    assert large <= _STEP + more


# -- estimators -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def items() -> tuple[np.ndarray, np.ndarray]:
    """Return 60 pictures of 6 classes."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 10)
    return (rng.random((6, 8, 8))[y] + rng.random((60, 8, 8))).astype("float32") / 2, y


def answers(clf: SiameseClassifier, X: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    yield clf.transform(X)
    yield clf.predict_proba(X)
    yield clf.similarity(X[:5], X)
    found = clf.identify(X[:5], 3, fpir=0.5, confidence=None)
    yield found.scores
    assert found.probabilities is not None
    yield found.probabilities
    yield clf.verify(X[:5], y[:5])
    yield np.array(clf.score(X, y))
    explained = clf.explain(X[0], X[1])
    yield explained.a


@pytest.mark.parametrize(
    ("head", "aggregate"),
    [*((head, "prototype") for head in HEADS), ("cosine", "mean"), ("l1", "max")],
)
def test_a_classifier_answers_the_same(elsewhere, items, tmp_path, head, aggregate) -> None:  # type: ignore[no-untyped-def]
    X, y = items
    clf = SiameseClassifier(
        "mnist-mlp", head, max_epochs=1, validation=0.34, aggregate=aggregate,
        precision="float32", device="cpu", random_state=0,
    ).fit(X, y)  # fmt: skip
    clf.save(tmp_path / "model")
    other = SiameseClassifier.load(tmp_path / "model", device="elsewhere")
    assert other.gallery_.vectors.device == elsewhere.device
    assert (clf.predict(X) == other.predict(X)).mean() > 0.9  # but for rounding
    for here, there in zip(answers(clf, X, y), answers(other, X, y), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("loss", ["episodic", "batch-all"])
def test_estimators_train_there(elsewhere, items, loss: str) -> None:  # type: ignore[no-untyped-def]
    X, y = items
    # Autocast is a matter of torch's own devices.
    options = {"max_epochs": 2, "random_state": 0, "loss": loss, "precision": "float32"}
    options["device"] = "elsewhere"
    clf = SiameseClassifier("mnist-mlp", validation=0.34, **options).fit(X, y)
    assert clf.score(X, y) > 0.2
    clf.calibrate(X, y).forget(0).enroll(X[:1], y[:1])
    assert clf.group_unknown(X, fpir=0.9).n_groups >= 0
    assert SiameseEmbedder("mnist-mlp", **options).fit(X, y).transform(X).dtype == np.float32


def test_a_verifier_there(elsewhere, items) -> None:  # type: ignore[no-untyped-def]
    X, y = items
    verifier = SiameseVerifier(
        "mnist-mlp", max_epochs=1, device="elsewhere", random_state=0, precision="float32"
    ).fit(X, y)
    assert verifier.predict_proba(X[:5], X[5:10]).shape == (5, 2)
    verifier.threshold(strategy="eer")
    assert 0 <= verifier.report(n_resamples=100).auc.value <= 1


@pytest.mark.parametrize("n", [5, 40])
def test_a_projection_there(elsewhere, n: int) -> None:  # type: ignore[no-untyped-def]
    z = embeddings(n)
    here, there = (PCAProjection(4).fit(x).matrix.cpu() for x in (z, z.to(elsewhere.device)))
    torch.testing.assert_close(there @ there.T, here @ here.T, rtol=1e-3, atol=1e-3)


def test_a_tie_there_is_worth_the_same(elsewhere) -> None:  # type: ignore[no-untyped-def]
    scores = torch.tensor([[1.0, 1.0, 0.0]], device=elsewhere.device)
    answer = torch.tensor([0], device=elsewhere.device)
    assert share_of_ties(scores, answer).tolist() == [0.5]


def test_the_device_refuses_what_a_mac_refuses(elsewhere) -> None:  # type: ignore[no-untyped-def]
    x = torch.ones(3, device=elsewhere.device)
    with pytest.raises(TypeError, match="float64"):
        x.double()
    with elsewhere.counting() as waits:
        x.sum().item()
        x[x > 0]
    assert waits.total() >= 2
