"""Any network from items to embeddings trains, and is left to work as it was written."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.training import History, TrainingHealthWarning, TrainingLine, embed_items

Make = Callable[..., TrainingLine]
Fit = Callable[..., History]
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(24, 2, 6, 6)).astype(np.float32)
VECTORS = GENERATOR.normal(size=(24, 6)).astype(np.float32)
LABELS = np.arange(24) % 3


def estimator(backbone: nn.Module, **params: Any) -> SiameseClassifier:
    return SiameseClassifier(
        backbone, **{"max_epochs": 1, "random_state": 0, "device": "cpu", "augment": None, **params}
    )


class Viewing(nn.Module):
    """Flattens as most tutorials do, and asks that its images lie as they always did."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(2, 3, 3), nn.Linear(3 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        assert x.is_contiguous()
        assert self.conv.weight.is_contiguous()
        x = torch.relu(self.conv(x))
        out: Tensor = self.out(x.view(x.size(0), -1))
        return out


@pytest.mark.parametrize("channels_last", [False, True])
def test_networks_that_view(channels_last: bool) -> None:
    items = torch.from_numpy(IMAGES)
    if channels_last:
        items = items.contiguous(memory_format=torch.channels_last)
    clf = estimator(Viewing(), validation=lambda line: 0.5).fit(items, LABELS)
    assert clf.transform(items).shape == (24, 4)


class Caching(nn.Linear):
    """Makes a table in its first pass, and another one in its first pass outside training."""

    tables: dict[bool, Tensor]

    def forward(self, x: Tensor) -> Tensor:
        tables = self.__dict__.setdefault("tables", {})
        if self.training not in tables:
            tables[self.training] = torch.linspace(0.5, 1, x.shape[1])
        return super().forward(x) * tables[False]


def test_networks_that_cache_a_tensor() -> None:
    clf = estimator(Caching(6, 6), validation=0.4, max_epochs=2).fit(
        np.tile(VECTORS, (3, 1)), np.arange(72) % 9
    )
    assert np.isfinite(clf.transform(VECTORS)).all()


class InPlace(nn.Module):
    """Works on its input."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x.sub_(1.0).relu_())
        return out


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_nobodys_items_are_changed(kind: str) -> None:
    items: Any = VECTORS.copy() if kind == "array" else torch.from_numpy(VECTORS.copy())
    clf = estimator(InPlace()).fit(items, LABELS)
    first = clf.transform(items)
    np.testing.assert_array_equal(clf.transform(items), first)
    clf.predict(items)
    clf.enroll(items[:2], [7, 7])
    np.testing.assert_array_equal(np.asarray(items), VECTORS)


Outputs = namedtuple("Outputs", ["logits", "aux"])


class Returning(nn.Module):
    """Returns its embeddings in a container, in training or always."""

    def __init__(self, wrap: Callable[[Tensor], Any], always: bool = True) -> None:
        super().__init__()
        self.net, self.wrap, self.always = nn.Linear(6, 4), wrap, always

    def forward(self, x: Tensor) -> Any:
        out = self.net(x)
        return self.wrap(out) if self.always or self.training else out


WRAPS: dict[str, Callable[[Tensor], Any]] = {
    "tuple": lambda z: (z, z.sum()),
    "named tuple": lambda z: Outputs(z, None),
    "list": lambda z: [None, z],
    "mapping": lambda z: OrderedDict(hidden=z, other=1),
    "pooled mapping": lambda z: {"last_hidden_state": z[:, None], "pooler_output": z},
    "pooled object": lambda z: SimpleNamespace(last_hidden_state=z[:, None], pooler_output=z),
}


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("wrap", WRAPS)
def test_embeddings_are_found_in_what_is_returned(wrap: str, always: bool) -> None:
    torch.manual_seed(0)
    clf = estimator(Returning(WRAPS[wrap], always)).fit(VECTORS, LABELS)
    assert clf.transform(VECTORS).shape == (24, 4)


REFUSED: dict[str, Callable[[Tensor], Any]] = {
    "None": lambda z: None,
    "empty": lambda z: (),
    "numbers": lambda z: [1, 2],
    "array": lambda z: z.detach().float().numpy(),
    "maps": lambda z: z[:, :, None],
    "one item": lambda z: z[:1],
    "vector": lambda z: z[0],
    "integers": lambda z: z.long(),
    "no numbers": lambda z: z[:, :0],
}


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("wrap", REFUSED)
def test_what_holds_no_embeddings_is_refused_by_name(wrap: str, always: bool) -> None:
    with pytest.raises(InvalidDataError, match="backbone Returning must return embeddings"):
        estimator(Returning(REFUSED[wrap], always)).fit(VECTORS, LABELS)


def test_errors_of_a_network_in_its_first_pass_name_it() -> None:
    with pytest.raises(InvalidDataError, match="backbone Linear cannot take items of shape"):
        estimator(nn.Linear(7, 4)).fit(VECTORS, LABELS)


def frozen(network: nn.Module) -> nn.Module:
    return network.requires_grad_(False)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def unchanged(module: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("affine", [True, False])
def test_a_frozen_network_is_used_as_it_is(affine: bool) -> None:
    network = frozen(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, affine=affine)))
    clf = estimator(network).fit(VECTORS, LABELS)
    assert clf.history_.epochs == 0
    assert unchanged(clf.backbone_, state(network))
    assert clf.predict(VECTORS).shape == (24,)


def test_no_epochs_leave_the_network_as_it_is() -> None:
    network = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
    clf = estimator(network, max_epochs=0).fit(VECTORS, LABELS)
    assert unchanged(clf.backbone_, state(network))


def test_a_frozen_extractor_under_a_learned_head(make: Make, fit: Fit) -> None:
    network = frozen(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, affine=False)))
    before = state(network)
    line = make(network, "l1", "bce")
    history = fit(line)
    assert history.epochs == 3
    assert unchanged(line.backbone, before)


def test_a_frozen_normalisation_keeps_its_statistics(make: Make, fit: Fit) -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.BatchNorm1d(8))
    frozen(network[1])
    kept, moved = state(network[1]), state(network[3])
    line = make(network)
    line.train()
    assert not network[1].training
    assert network[3].training
    fit(line)
    assert unchanged(network[1], kept)
    assert not unchanged(network[3], moved)


def test_embedding_in_no_grad_gives_plain_tensors() -> None:
    z = embed_items(nn.Linear(6, 4), torch.from_numpy(VECTORS), torch.device("cpu"), torch.float32)
    assert not z.is_inference()
    assert not z.requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_training_learns_in_whatever_mode_the_caller_is(mode: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Linear(6, 4)
    alone = estimator(network).fit(VECTORS, LABELS)
    with mode():
        inside = estimator(network).fit(torch.from_numpy(VECTORS).clone(), LABELS)
    assert np.array_equal(alone.transform(VECTORS), inside.transform(VECTORS))
    assert inside.history_["loss"] == alone.history_["loss"]


def test_a_network_that_no_gradient_reaches_is_warned_of(make: Make, fit: Fit) -> None:
    class Detached(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).detach()

    with pytest.warns(TrainingHealthWarning, match="no gradient reaches .* Detached"):
        fit(make(Detached(6, 8)))


class Squeezing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).squeeze()


def test_a_batch_of_one_that_was_squeezed_away_is_put_back() -> None:
    clf = estimator(Squeezing()).fit(IMAGES, LABELS)
    one = clf.transform(IMAGES[:1])
    assert one.shape == (1, 4)
    assert np.allclose(one, clf.transform(IMAGES)[:1], atol=1e-6)
    assert clf.predict(IMAGES[:1]).shape == (1,)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("head", ["cosine", "l1"])
def test_networks_of_another_number_type_get_items_in_it(kind: torch.dtype, head: str) -> None:
    seen = []

    class Noting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.dtype)
            return super().forward(x)

    clf = estimator(Noting(6, 4).to(kind), head=head, precision="float32").fit(VECTORS, LABELS)
    assert set(seen) == {kind}
    assert clf.backbone_.weight.dtype == kind
    assert clf.transform(VECTORS).dtype == np.float32


def test_torchs_default_type_changes_nothing_of_heads_and_losses() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        try:
            torch.set_default_dtype(torch.float64)
            network = nn.Linear(6, 4)
            clf = estimator(network, head="l1", loss="bce").fit(VECTORS, LABELS)
        finally:
            torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in clf.head_.parameters()} == {torch.float32}
    assert clf.backbone_.weight.dtype == torch.float64


class OfOneSize(nn.Linear):
    mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = torch.ones_like(x)
        return super().forward(x * self.mask)


@pytest.mark.parametrize(
    ("network", "error", "what"),
    [
        (OfOneSize(6, 4), InvalidDataError, "batches of any size"),
        (nn.Linear(6, 4, device="meta"), InvalidParameterError, "on the meta device"),
    ],
)
def test_what_cannot_be_trained_is_named(
    network: nn.Module, error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what):
        estimator(network).fit(VECTORS, LABELS)


def test_sparse_embeddings_are_refused_and_those_of_a_subclass_are_plain() -> None:
    class Sparse(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).to_sparse()

    class Own(Tensor):
        pass

    class Subclassed(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).as_subclass(Own)

    with pytest.raises(InvalidDataError, match="dense"):
        estimator(Sparse(6, 4)).fit(VECTORS, LABELS)
    device = torch.device("cpu")
    z = embed_items(Subclassed(6, 4), torch.from_numpy(VECTORS), device, torch.float32)
    assert type(z) is Tensor
