"""Bad input gets a named error at every public door, and nothing is changed by it.

A row is a call, the error it must raise and part of its message. After each, everything in reach
(weights, gallery, parameters, predictions, the arrays handed in) must be what it was before.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from siamesekit import SiameseClassifier, data, evaluation, recipes, registry
from siamesekit import training as tr
from siamesekit.backbones import MLP, Backbone, Conv4, KochNet, ResidualNet
from siamesekit.errors import (
    DatasetNotFoundError,
    InvalidDataError,
    InvalidParameterError,
    LeakageError,
    NotBuiltError,
    SavedModelError,
    SiamesekitError,
    UnknownPartError,
)
from siamesekit.gallery import ExactIndex, Gallery
from siamesekit.heads import (
    CosineConcatHead,
    CosineHead,
    EuclideanHead,
    L1Head,
    SqEuclideanHead,
    SquaredHead,
)
from siamesekit.losses import (
    BatchAllTripletLoss,
    BCELoss,
    ContrastiveLoss,
    CrossBatchMemory,
    EpisodicLoss,
    TripletLoss,
    batch_all_triplet_loss,
)
from siamesekit.miners import (
    AllPairs,
    AllTriplets,
    BatchHard,
    EasyTriplets,
    HardPairs,
    HardTriplets,
    SemihardTriplets,
    mine_from_embeddings,
)
from siamesekit.samplers import BalancedSampler, EpisodeSampler, PairSampler, RandomSampler

Error = type[Exception]
DATA, PARAMETER = InvalidDataError, InvalidParameterError
HEADS = (CosineHead, EuclideanHead, SqEuclideanHead, L1Head, SquaredHead, CosineConcatHead)
NAN, INF = float("nan"), float("inf")


class Unshowable:
    """Its ``repr`` fails, as that of a broken proxy may."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class World:
    """All that a refused call might change."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(24, 4)).astype(np.float32)
        self.y = np.arange(24) % 3
        self.images = rng.integers(0, 256, (24, 8, 8), dtype=np.uint8)
        self.clf = self.new().fit(self.X, self.y)
        self.seer = self.new(augment=None).fit(self.images, self.y)
        self.triplets = SiameseClassifier(loss="triplet")
        self.vectors = torch.from_numpy(rng.normal(size=(6, 4))).float()
        self.labels = torch.tensor([0, 0, 1, 1, 2, 2])
        self.scores = CosineHead().build(4)(self.vectors, self.vectors)
        self.heads = {head: head().build(4) for head in HEADS}
        self.gallery = Gallery(CosineHead().build(4))
        self.gallery.enroll(self.vectors, self.labels)
        self.index = ExactIndex()
        self.index.add(self.vectors, torch.arange(6))
        self.memory = CrossBatchMemory(memory_size=8).build(4, 3)
        self.sampler = BalancedSampler(classes=2, per_class=2).bind(self.labels)
        self.emb, self.ids = rng.normal(size=(60, 4)), np.arange(60) % 10
        self.pair_scores, self.same = np.linspace(0, 1, 12), np.array([0, 1] * 6)
        self.generator = torch.Generator().manual_seed(0)
        self.seen = self.digest()

    def new(self, **parameters: Any) -> SiameseClassifier:
        return SiameseClassifier("mlp", max_epochs=1, random_state=0, **parameters)

    def net(self, cls: type[Backbone]) -> Backbone:
        with torch.random.fork_rng():
            return cls().build((1, 48, 48))

    def digest(self) -> str:
        state: list[Any] = []
        for clf in (self.clf, self.seer):
            state += [clf.backbone_.state_dict(), clf.head_.state_dict(), clf.calibration_]
            state += [clf.gallery_.vectors, clf.gallery_.labels, repr(clf.get_params(deep=False))]
            state += [tuple(clf.input_kind_), clf.input_shape_, sorted(vars(clf))]
        state += [repr(self.triplets.get_params(deep=False)), self.memory.state_dict()]
        state += [self.gallery.vectors, self.gallery.labels, len(self.index)]
        state += [list(self.sampler), self.generator.get_state(), torch.get_rng_state()]
        state += [v for v in vars(self).values() if isinstance(v, np.ndarray | torch.Tensor)]
        return hashlib.sha256(pickle.dumps([_plain(part) for part in state])).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    answers = world.clf.predict(world.X), world.seer.predict_proba(world.images)
    yield world
    np.testing.assert_array_equal(world.clf.predict(world.X), answers[0])
    np.testing.assert_array_equal(world.seer.predict_proba(world.images), answers[1])


class Row(NamedTuple):
    entry: str
    call: Callable[[World], object]
    error: Error
    message: str


ROWS: list[Row] = []


def rows(entry: str, error: Error, *cases: tuple[Any, str]) -> Callable[[Any], None]:
    """Add a row for each ``(input, message)``, with the call that the decorated function makes."""

    def add(call: Callable[[World, Any], object]) -> None:
        for given, message in cases:
            ROWS.append(Row(entry, lambda world, v=given: call(world, v), error, message))

    return add


# -- items, at every door of an estimator --------------------------------------------------------

VECTORS: list[tuple[Any, str]] = [
    (None, "must have shape|array"),
    (7, "array|must have shape"),
    ("abc", "array|must hold numbers|must have shape|must be a list of paths"),
    ({}, "array|must have shape"),
    ([], "must have shape"),
    ([1.0, 2.0], r"\[None\] makes a batch of one item"),
    ([[1.0, 2.0], [3.0]], r"must hold items of one shape; .*\[0\] has \(2,\) and .*\[1\] has"),
    (np.zeros((0, 4)), "0 sample|at least one item"),
    (np.zeros((3, 0)), "0 feature|at least one item"),
    (np.full((3, 4), NAN), "contains NaN or infinity, in item 0"),
    (np.array([[0.0] * 4, [0.0, INF, 0.0, 0.0]]), "contains NaN or infinity, in item 1"),
    (np.full((3, 4), 1j), "[Cc]omplex"),
    (np.full((3, 4), "1"), "must hold numbers"),
    ([["1", "2", "3", "4"]], "must hold numbers"),
    (np.full((3, 4), "1", dtype=object), "got the text '1' in item 0"),
    (np.full((3, 4), b"1"), "must hold numbers"),
    (np.full((3, 4), None), "must hold|contains NaN"),
    (np.zeros((3, 4), dtype="M8[s]"), "must hold numbers"),
    (np.ma.array(np.zeros((3, 4)), mask=np.eye(3, 4)), "in item 0 one is masked"),
    (torch.zeros(3, 4).to_sparse(), "dense"),
    (torch.zeros(3, 4, dtype=torch.complex64), "[Cc]omplex"),
    ([torch.zeros(4), torch.zeros(5)], r"\[1\] has \(5,\)"),
    (Unshowable(), ""),
]
OTHER_SHAPE: list[tuple[Any, str]] = [
    (np.zeros((3, 5)), "5 features, but SiameseClassifier is expecting 4|shape"),
    (torch.zeros(3, 5), "5 features, but SiameseClassifier is expecting 4|shape"),
    (np.zeros((3, 8, 8)), r"must hold items of shape \(4,\), as in training; got \(1, 8, 8\)"),
]

rows("fit", DATA, *VECTORS, (np.zeros((3, 2, 1, 8, 8)), "must have shape"))(
    lambda w, X: w.new().fit(X, [0, 1, 2][: len(X)] if hasattr(X, "__len__") else w.y)
)
rows("refit", DATA, *VECTORS[:6])(lambda w, X: w.clf.fit(X, w.y))
for door in ("predict", "predict_proba", "transform"):
    rows(door, DATA, *VECTORS, *OTHER_SHAPE)(lambda w, X, door=door: getattr(w.clf, door)(X))
rows("similarity A", DATA, *VECTORS[:12], *OTHER_SHAPE)(lambda w, A: w.clf.similarity(A, w.X))
rows("similarity B", DATA, *VECTORS[:12], *OTHER_SHAPE)(lambda w, B: w.clf.similarity(w.X, B))
rows("enroll", DATA, *VECTORS, *OTHER_SHAPE)(lambda w, X: w.clf.enroll(X, [0, 1, 2]))

IMAGES: list[tuple[Any, str]] = [
    (np.zeros((8, 8), np.uint8), r"shape \(1, 8, 8\), as in training; got \(8,\)"),
    (np.zeros((2, 8, 8, 3), np.uint8), r"as in training; got \(8, 8, 3\)"),
    (np.zeros((2, 3, 8, 8), np.uint8), r"as in training; got \(3, 8, 8\)"),
    (np.full((2, 8, 8), 300), "whole numbers from 0 to 255"),
    (np.full((2, 8, 8), -1), "whole numbers from 0 to 255"),
    (np.full((2, 8, 8), 127.5), "whole numbers from 0 to 255"),
    (np.full((2, 8, 8), 1e30), "whole numbers from 0 to 255"),
    (np.eye(8, dtype=np.int64)[None], "True and False"),
    (np.full((2, 8, 8), NAN), "contains NaN"),
    ([np.zeros((8, 8)), np.zeros((8, 9))], r"\[1\] has \(8, 9\)"),
    ([np.zeros((8, 8)), np.zeros((8, 8), np.uint8)], r"\[1\] of uint8"),
]
for door in ("predict", "transform", "predict_proba"):
    rows(f"images {door}", DATA, *IMAGES)(lambda w, X, door=door: getattr(w.seer, door)(X))
rows("images enroll", DATA, *IMAGES)(lambda w, X: w.seer.enroll(X, [0] * len(X)))
rows(
    "images fit",
    DATA,
    (np.zeros((24, 4, 4, 3)), r"transpose\(0, 3, 1, 2\)"),
    (np.zeros((24, 2, 2, 8, 8)), r"similarity\(X\[:, 0\], X\[:, 1\]\)"),
)(lambda w, X: w.new().fit(X, w.y))
rows("pairs fit", DATA, ([0, 1], "looks like pairs"), ([-1, 1], "looks like pairs"))(
    lambda w, y: w.new().fit(np.zeros((24, 2, 8, 8)), y * 12)
)

# -- labels and groups -- ------------------------------------------------------------------------

LABELS: list[tuple[Any, str]] = [
    (None, "y must hold one label an item"),
    (3, "y must hold one label an item"),
    ("abc", "y must hold one label an item"),
    ([0, 1], "24 items were given 2"),
    ([[0, 1]] * 24, r"of shape \(n,\)"),
    (np.zeros((24, 2)), r"of shape \(n,\)"),
    ([0.5, 1.5] * 12, "Unknown label type: continuous|y must hold integers"),
    ([1, "a"] * 12, "all of one kind; got 1 and 'a'"),
    ([True, 2] * 12, "all of one kind; got True and 2"),
    ([None, 1] * 12, "all of one kind; got None and 1"),
    ([NAN, 1.0] * 12, "NaN, which equals no label, as at position 0"),
    ([INF, 1.0] * 12, "infinity as at position 0"),
    (np.ma.array([0, 1] * 12, mask=[1, 0] * 12), "position 0 is masked"),
    (np.array(["NaT", "2020-01-01"] * 12, dtype="M8[D]"), "got dates"),
    ([b"a", b"b"] * 12, "got b'a'"),
    (np.array([1j, 2j] * 12), "complex numbers"),
    ([2**60, 0.5] * 12, "which would round it"),
    ([(0, 1), (1, 0)] * 12, r"of shape \(n,\)"),
    ([Unshowable()] * 24, "all of one kind"),
]
rows("fit y", DATA, *LABELS, ([0] * 24, "at least 2 classes"))(lambda w, y: w.new().fit(w.X, y))
rows(
    "enroll y",
    DATA,
    *LABELS,
    (["a"] * 24, "y must hold numbers, as the classes already enrolled do; got strings"),
    ([True] * 24, "y must hold numbers, as the classes already enrolled do; got booleans"),
)(lambda w, y: w.clf.enroll(w.X, y))
rows(
    "fit groups",
    DATA,
    ([0, 1], "groups must hold one label an item: 24 items were given 2"),
    (5, "groups must hold"),
    ("abc", "groups must hold"),
    ([[0, 1]] * 24, "groups must hold"),
    ([None] * 24, "groups must hold"),
    ([NAN] * 24, "groups must not hold NaN"),
    ([1, "a"] * 12, "groups must hold"),
    (list(range(24)), "groups must hold every class in one group; class 0 lies in the groups"),
    (["p", "q"] * 12, "groups must hold every class in one group; class 0 lies .* 'p' and 'q'"),
)(lambda w, groups: w.new(sampler="balanced").fit(w.X, w.y, groups))
rows("fit with too few", DATA, (range(24), "two items|at least"))(lambda w, y: w.new().fit(w.X, y))

CLASSES: list[tuple[Any, str]] = [
    (9, "classes must be enrolled; 9 is not"),
    ([9, 10], "classes must be enrolled; 9, 10 are not"),
    ("a", "classes must"),
    ([[0, 1]], "classes must hold"),
    ([None], "classes must hold"),
    ([NAN], "classes must not hold NaN"),
    (True, "classes must"),
    (0.5, "classes must be enrolled"),
    ([0, "a"], "classes must hold"),
    (Unshowable(), "classes must hold"),
]
rows("forget", DATA, *CLASSES)(lambda w, classes: w.clf.forget(classes))
rows("predict classes", DATA, *CLASSES, ([], "classes"))(
    lambda w, classes: w.clf.predict(w.X, classes)
)
rows("Gallery.forget", DATA, *CLASSES)(lambda w, classes: w.gallery.forget(classes))
rows("Gallery.positions_of", DATA, *CLASSES[:8])(lambda w, c: w.gallery.positions_of(c))

# -- parameters --------- ------------------------------------------------------------------------

PARAMETERS: list[tuple[tuple[str, Any], str]] = [
    (("backbone", 5), "backbone must be a name, or a class or an instance of Module; got 5"),
    (("backbone", None), "backbone must be"),
    (("head", 3), "head must be a name, or a class or an instance of Head; got 3"),
    (("head", None), "head must be"),
    (("head", "auto"), "no part named 'auto'"),
    (("head", dict), "head must be"),
    (("loss", 1.5), "loss must be"),
    (("loss", CosineHead()), "loss must be"),
    (("loss", None), "loss must be"),
    (("miner", 5), "miner must be"),
    (("miner", "seminard"), "Did you mean 'semihard'"),
    (("sampler", None), "sampler must be"),
    (("sampler", []), "sampler must be"),
    (("augment", 5), "augment must be"),
    (("augment", "afine"), "augment must be .*Did you mean 'affine'"),
    (("aggregate", "sum"), "aggregate must be one of"),
    (("aggregate", None), "aggregate must be one of"),
    (("enroll_training", "yes"), "enroll_training must be True or False; got 'yes'"),
    (("enroll_training", 1), "enroll_training must be True or False"),
    (("max_epochs", -1), "max_epochs must be an integer of at least"),
    (("max_epochs", 1.5), "max_epochs must be an integer"),
    (("max_epochs", True), "max_epochs must be an integer"),
    (("max_epochs", "5"), "max_epochs must be an integer .*; got '5'"),
    (("max_epochs", None), "max_epochs must be an integer"),
    (("max_epochs", 10**400), "max_epochs must be an integer"),
    (("max_epochs", Unshowable()), "max_epochs must be an integer .*cannot be shown"),
    (("learning_rate", 0), r"learning_rate must be a finite number in \(0, inf\); got 0"),
    (("learning_rate", -1.0), "learning_rate must be a finite number"),
    (("learning_rate", NAN), "learning_rate must be a finite number"),
    (("learning_rate", INF), "learning_rate must be a finite number"),
    (("learning_rate", "a"), "learning_rate must be a finite number"),
    (("learning_rate", 10**400), "learning_rate must be a finite number"),
    (("learning_rate", 1j), "learning_rate must be a finite number"),
    (("learning_rate", np.array([0.1, 0.2])), "learning_rate must be a finite number"),
    (("weight_decay", -0.1), "weight_decay must be a finite number"),
    (("weight_decay", None), "weight_decay must be a finite number"),
    (("optimizer", "addam"), "optimizer must be one of .*Did you mean 'adam'"),
    (("optimizer", 5), "optimizer must be one of .* or a callable"),
    (("optimizer", None), "optimizer must be one of"),
    (("schedule", "cosin"), "schedule must be one of .*Did you mean 'cosine'"),
    (("schedule", 0.1), "schedule must be one of .* or a callable"),
    (("averaging", 1.0), r"averaging must be a finite number in \(0, 1\)"),
    (("averaging", True), "averaging must be"),
    (("averaging", "0.9"), "averaging must be"),
    (("validation", 0.0), r"validation must be a finite number in \(0, 1\)"),
    (("validation", 2), "validation must be a finite number"),
    (("validation", "0.2"), "validation must be a finite number .* or a callable"),
    (("validation", [0.2]), "validation must be"),
    (("patience", 0), "patience must be an integer of at least 1"),
    (("patience", 1.5), "patience must be an integer"),
    (("callbacks", None), "callbacks must be a sequence of callables"),
    (("callbacks", 5), "callbacks must be a sequence of callables"),
    (("callbacks", "abc"), "callbacks must be a sequence of callables"),
    (("callbacks", [None]), r"callbacks\[0\] must be a callable"),
    (("callbacks", print), "callbacks must be a sequence of callables"),
    (("checkpoint", 5), "checkpoint must be None, a path or a Checkpoint; got 5"),
    (("checkpoint", b"x"), "checkpoint must be"),
    (("checkpoint", ""), "checkpoint must be"),
    (("device", "tpu9"), "device must be"),
    (("device", 5), "device must be"),
    (("device", None), "device must be"),
    (("precision", "half"), "precision must be one of"),
    (("precision", 16), "precision must be one of"),
    (("random_state", "x"), "random_state must be None, an int"),
    (("random_state", -1), "random_state must be None, an int"),
    (("random_state", 1.5), "random_state must be None, an int"),
    (("random_state", True), "random_state must be None, an int"),
    (("random_state", 10**400), "random_state must be None, an int"),
    (("verbose", "yes"), "verbose must be True or False; got 'yes'"),
    (("verbose", 2), "verbose must be True or False"),
    (("verbose", None), "verbose must be True or False"),
]
rows("fit parameters", SiamesekitError, *PARAMETERS)(
    lambda w, given: w.new().set_params(**dict([given])).fit(w.X, w.y)
)
rows("refit parameters", SiamesekitError, *PARAMETERS[::9])(
    lambda w, given: _with(w.clf, *given).fit(w.X, w.y)
)
PLAN = ("max_epochs", "learning_rate", "weight_decay", "optimizer", "schedule", "averaging")
rows("Plan", PARAMETER, *(p for p in PARAMETERS if p[0][0] in (*PLAN, "patience", "verbose")))(
    lambda w, given: tr.Plan(**dict([given]))
)
rows(
    "set_params",
    PARAMETER,
    ({"lr": 1}, "lr"),
    ({"loss__margn": 1}, "margn"),
    ({"loss__margin": "wide"}, "margin"),
    ({"loss__margin": NAN}, "margin"),
    ({"loss__margin": 10**400}, "margin"),
    ({"miner__margin": 1}, "miner"),
    ({"backbone__units": 4}, "backbone"),
    ({"loss__margin__deep": 4}, "margin"),
)(lambda w, params: w.triplets.set_params(**params))


def _with(clf: SiameseClassifier, name: str, value: object) -> SiameseClassifier:
    import copy

    return copy.copy(clf).set_params(**{name: value})


# -- saving and loading - ------------------------------------------------------------------------

PATHS = [None, 5, b"x", [], "", "a\0b", True]
rows("save", PARAMETER, *((p, "path must be a path") for p in PATHS))(lambda w, p: w.clf.save(p))
rows("load", PARAMETER, *((p, "path must be a path") for p in PATHS))(
    lambda w, p: SiameseClassifier.load(p)
)
rows("load", SavedModelError, ("/nonexistent/model", "/nonexistent/model"))(
    lambda w, p: SiameseClassifier.load(p)
)
rows("load parts", SiamesekitError, ({"devise": "cpu"}, "devise"), ({"device": "tpu9"}, "device"))(
    lambda w, parts: SiameseClassifier.from_pretrained("omniglot", **parts)
)
rows("from_pretrained", PARAMETER, ("omniglt", "Did you mean 'omniglot'"), (None, "name"))(
    lambda w, name: SiameseClassifier.from_pretrained(name)
)
rows("Checkpoint path", PARAMETER, *((p, "checkpoint must be a path") for p in PATHS))(
    lambda w, p: tr.Checkpoint(p)
)
rows("Checkpoint every", PARAMETER, *((v, "every must be an integer") for v in (0, -1, "3", 1.5)))(
    lambda w, every: tr.Checkpoint("/nonexistent/run", every=every)
)
for method in ("predict", "transform", "predict_proba", "forget"):
    rows("not fitted", NotFittedError, (method, "not fitted yet"))(
        lambda w, name: getattr(SiameseClassifier(), name)(w.X)
    )
rows("not fitted", NotFittedError, ("x", "not fitted yet"))(
    lambda w, path: SiameseClassifier().save(path)
)

# -- heads, losses, miners -----------------------------------------------------------------------

NO_EMBEDDINGS: list[tuple[Any, str]] = [
    (None, "a must be a float tensor .*got NoneType"),
    (np.zeros((3, 4)), "a must be a float tensor .*got ndarray"),
    ([[0.0] * 4], "a must be a float tensor"),
    ("abc", "a must be a float tensor"),
    (torch.zeros(4), r"a must be a float tensor .*got torch.float32 of shape \(4,\)"),
    (torch.zeros(3, 4, dtype=torch.int64), "a must be a float tensor"),
    (torch.zeros(3, 5), "a and b must have embeddings of one length|built for"),
]
for head in HEADS:
    rows(head.__name__, DATA, *NO_EMBEDDINGS)(
        lambda w, a, head=head: w.heads[head](a, torch.zeros(3, 4))
    )
    rows(f"{head.__name__}.build", PARAMETER, ("a", "dim"), (0, "dim"), (10**400, "dim"))(
        lambda w, dim, head=head: head().build(dim)
    )
for head in (L1Head, SquaredHead, CosineConcatHead):
    rows(f"{head.__name__} unbuilt", NotBuiltError, (None, "build"))(
        lambda w, _, head=head: head()(torch.zeros(3, 4), torch.zeros(3, 4))
    )
NO_SCORES: list[tuple[Any, str]] = [
    (None, "inputs must be a float score matrix .*got NoneType"),
    (np.zeros((6, 6)), "inputs must be a float score matrix .*got ndarray"),
    ([[0.0]], "inputs must be a float score matrix"),
    (torch.zeros(6), r"inputs must be a float score matrix .*of shape \(6,\)"),
    (torch.zeros(6, 5), "inputs must be a float score matrix|labels"),
    (torch.zeros(6, 6, dtype=torch.int64), "inputs must be a float score matrix"),
]
NO_LABELS: list[tuple[Any, str]] = [
    (None, "labels"),
    ([0, 0, 1, 1, 2, 2], "labels"),
    (torch.zeros(5, dtype=torch.int64), "labels"),
    (torch.zeros(6, 1, dtype=torch.int64), "labels"),
    (torch.zeros(6), "labels"),
]
for loss in (BCELoss, BatchAllTripletLoss, ContrastiveLoss, EpisodicLoss, TripletLoss):
    rows(loss.__name__, SiamesekitError, *NO_SCORES)(
        lambda w, s, loss=loss: loss().build(4, 3)(s, w.labels)
    )
    rows(f"{loss.__name__} labels", SiamesekitError, *NO_LABELS)(
        lambda w, labels, loss=loss: loss().build(4, 3)(w.scores, labels)
    )
for miner in (AllPairs, AllTriplets, BatchHard, EasyTriplets, HardPairs, HardTriplets,
              SemihardTriplets):  # fmt: skip
    rows(miner.__name__, SiamesekitError, *NO_SCORES)(lambda w, s, m=miner: m()(s, w.labels))
    rows(f"{miner.__name__} labels", SiamesekitError, *NO_LABELS)(
        lambda w, labels, m=miner: m()(w.scores, labels)
    )
rows("memory", SiamesekitError, (None, "embeddings"), (torch.zeros(6), "embeddings"))(
    lambda w, z: w.memory(z, w.labels)
)
for make, name, values in (
    (TripletLoss, "margin", (-1.0, NAN, "wide", None, 10**400, np.array([0.1, 0.2]))),
    (BatchAllTripletLoss, "reduction", ("sum", None)),
    (ContrastiveLoss, "margin", (0.0, INF, "a")),
    (BCELoss, "label_smoothing", (-0.1, 1.0, "a", NAN)),
    (BCELoss, "balance", ("yes", None, 1)),
    (EpisodicLoss, "temperature", (0, -1, NAN, "hot")),
    (EpisodicLoss, "shot", (0, 1.5, "all")),
    (CrossBatchMemory, "memory_size", (0, -5, 1.5, "big")),
    (SemihardTriplets, "margin", (-0.1, NAN, "a")),
    (AllTriplets, "per_pair", (0, 1.5, "a")),
    (CosineConcatHead, "hidden", (0, 1.5, "a", 10**400)),
    (CosineConcatHead, "dropout", (-0.1, 1.0, NAN)),
    (L1Head, "init", ("random", None)),
    (BalancedSampler, "classes", (0, 1.5, "a")),
    (BalancedSampler, "per_class", (0, "a")),
    (EpisodeSampler, "way", (1, 1.5, None)),
    (EpisodeSampler, "within", (-0.1, 1.5, NAN)),
    (EpisodeSampler, "n_batches", (0, "a")),
    (PairSampler, "batch_size", (0, 1.5)),
    (PairSampler, "uniform", ("alphabet", None)),
    (RandomSampler, "batch_size", (0, 1.5, "a", None)),
    (MLP, "hidden", (5, None, (0,), ("a",), "ab")),
    (MLP, "units", (0, 1.5, "a")),
    (MLP, "dropout", (1.0, -0.1, NAN)),
    (Conv4, "width", (0, "a")),
    (KochNet, "filters", (5, None, (1, 2))),
    (data.RandomAffine, "rotation", (-1, NAN, "a")),
    (data.RandomAffine, "scale", (0.5, (2, 1), (0, 1), None, "ab")),
    (data.RandomAffine, "p", (-0.1, 1.5, "a")),
):
    rows(f"{make.__name__}({name})", SiamesekitError, *((v, name) for v in values))(
        lambda w, v, make=make, name=name: make(**{name: v})
    )  # type: ignore[operator]
rows("pair_loss", SiamesekitError, (torch.tensor([2.0]), "same"), (torch.tensor([NAN]), "same"))(
    lambda w, same: BCELoss().pair_loss(torch.zeros(1), same)
)
rows("batch_all", PARAMETER, (NAN, "margin"), (-1, "margin"), ("a", "margin"), (None, "margin"))(
    lambda w, margin: batch_all_triplet_loss(-w.scores, w.labels, margin)
)
rows("Index.save", PARAMETER, *((p, "path must be a path") for p in PATHS))(
    lambda w, p: w.index.save(p)
)
rows("Index.load", PARAMETER, *((p, "path must be a path") for p in PATHS))(
    lambda w, p: ExactIndex.load(p)
)
rows(
    "class_probabilities",
    PARAMETER,
    *((v, "slope must be a finite number") for v in ("a", None, NAN, [1.0], np.zeros(2))),
)(lambda w, slope: w.gallery.class_probabilities(w.vectors, slope))
rows("mine head", PARAMETER, (None, "head must be"), (5, "head must be"))(
    lambda w, head: mine_from_embeddings(SemihardTriplets(), w.vectors, w.labels, head=head)
)
rows("mine", PARAMETER, (0, "block_rows"), ("a", "block_rows"))(
    lambda w, n: mine_from_embeddings(
        SemihardTriplets(), w.vectors, w.labels, head=CosineHead(), block_rows=n
    )
)

# -- samplers ----------- ------------------------------------------------------------------------

for sampler in (BalancedSampler, EpisodeSampler, PairSampler, RandomSampler):
    rows(
        f"{sampler.__name__}.bind",
        SiamesekitError,
        (None, "labels"),
        (5, "labels"),
        ([0, 0, 1, 1], "labels"),
        (np.array([0, 0, 1, 1]), "labels"),
        (torch.tensor([NAN, 1.0]), "labels"),
        (torch.zeros(4, 2, dtype=torch.int64), "labels"),
        (torch.zeros(0, dtype=torch.int64), "item|class|label"),
    )(lambda w, labels, s=sampler: s().bind(labels))
    rows(f"{sampler.__name__}.bind groups", SiamesekitError, (5, "groups"), ([0] * 6, "groups"))(
        lambda w, groups, s=sampler: s().bind(w.labels, groups)
    )
    rows(f"{sampler.__name__}.bind seed", PARAMETER, ("a", "seed"), (None, "seed"), (1.5, "seed"))(
        lambda w, seed, s=sampler: s().bind(w.labels, seed=seed)
    )
    rows(f"{sampler.__name__} unbound", NotBuiltError, (list, "bind"), (len, "bind"))(
        lambda w, use, s=sampler: use(s())
    )
rows("set_epoch", PARAMETER, (-1, "epoch"), ("a", "epoch"), (1.5, "epoch"))(
    lambda w, epoch: w.sampler.set_epoch(epoch)
)

# -- backbones ---------- ------------------------------------------------------------------------

NO_SHAPES: list[tuple[Any, str]] = [
    (5, "shape"),
    (None, "shape"),
    ("abc", "shape"),
    ((-1, 28, 28), "shape"),
    ((1.5, 28, 28), "shape"),
    (("a",), "shape"),
    ((0, 28, 28), "shape"),
    ((), "shape"),
]
for net in (MLP, Conv4, ResidualNet, KochNet):
    rows(f"{net.__name__}.build", PARAMETER, *NO_SHAPES)(
        lambda w, shape, net=net: net().build(shape)
    )
    rows(f"{net.__name__} unbuilt", NotBuiltError, (None, "build"))(
        lambda w, _, net=net: net()(torch.zeros(2, 1, 28, 28))
    )

for net in (MLP, Conv4, ResidualNet):
    rows(f"{net.__name__} built", DATA, *((v, "x must be a float tensor") for v in (None, 5, [1])))(
        lambda w, x, net=net: w.net(net)(x)
    )

# -- gallery and index -- ------------------------------------------------------------------------

rows(
    "Gallery.enroll",
    SiamesekitError,
    (None, "vectors"),
    ("abc", "vectors"),
    (torch.zeros(4), "vectors"),
    (torch.zeros(6, 5), "5"),
    (torch.full((6, 4), NAN), "finite"),
    (torch.full((6, 4), INF), "finite"),
    (torch.zeros(6, 4, dtype=torch.complex64), "vectors"),
    (torch.zeros(5, 4), "5"),
)(lambda w, v: w.gallery.enroll(v, [0, 0, 1, 1, 2, 2]))
rows("Gallery.enroll y", DATA, *(row for row in LABELS if row[0] is not None))(
    lambda w, y: w.gallery.enroll(torch.zeros(24, 4), y)
)
rows(
    "Gallery.class_scores",
    SiamesekitError,
    (None, "queries"),
    (torch.zeros(4), "queries"),
    (torch.zeros(2, 5), "5"),
    (torch.full((2, 4), NAN), "finite"),
)(lambda w, q: w.gallery.class_scores(q))
rows("empty gallery", DATA, (None, "enroll"))(
    lambda w, _: Gallery(CosineHead()).class_scores(w.vectors)
)
rows("Gallery()", SiamesekitError, (5, "head"), (Unshowable(), "head"))(
    lambda w, head: Gallery(head)
)
rows("Gallery(aggregate)", PARAMETER, ("sum", "aggregate"), (None, "aggregate"))(
    lambda w, aggregate: Gallery(CosineHead(), aggregate)
)
rows("Index()", PARAMETER, ("l2", "metric"), (None, "metric"))(lambda w, m: ExactIndex(m))
rows("Index.search", SiamesekitError, (0, "k"), (1.5, "k"), ("a", "k"))(
    lambda w, k: w.index.search(w.vectors, k)
)
rows("Index.add", SiamesekitError, (torch.full((6, 4), NAN), ""), ("a", ""), ([[1], [2, 3]], ""))(
    lambda w, v: w.index.add(v, torch.arange(6, 12))
)

# -- evaluation --------- ------------------------------------------------------------------------

NO_PAIRS: list[tuple[Any, str]] = [
    (None, "same"),
    ([-1, 1] * 6, "same"),
    (["same", "different"] * 6, "same"),
    ([2, 1] * 6, "same"),
    ([0.3, 1.0] * 6, "same"),
    ([NAN, 1.0] * 6, "same"),
    ([0, 1], "same|scores"),
    (np.ma.array([0, 1] * 6, mask=[1, 0] * 6), "same"),
]
NO_NUMBERS: list[tuple[Any, str]] = [
    (None, "scores"),
    (["0.1"] * 12, "scores"),
    (np.full(12, 1j), "scores"),
    ([NAN] * 12, "scores"),
    (np.ma.array(np.zeros(12), mask=[1, 0] * 6), "scores"),
    ([[0.1]] * 12, "scores"),
]
for name in ("best_threshold", "fit_calibration", "error_rates", "equal_error_rate"):
    rows(f"{name} same", SiamesekitError, *NO_PAIRS)(
        lambda w, same, name=name: getattr(evaluation, name)(w.pair_scores, same)
    )
    rows(name, SiamesekitError, *NO_NUMBERS)(
        lambda w, scores, name=name: getattr(evaluation, name)(scores, w.same)
    )
rows(
    "verification_accuracy",
    PARAMETER,
    *((v, "threshold") for v in (NAN, INF, True, 1j, [0.1], "a", None)),
)(lambda w, t: evaluation.verification_accuracy(w.pair_scores, w.same, t))
rows("wilson_interval", SiamesekitError, ((5, 3), ""), ((-1, 3), ""), ((1, 0), ""), (("a", 3), ""))(
    lambda w, v: evaluation.wilson_interval(*v)
)
rows("check_disjoint", LeakageError, ([1, "a"], "shares 1|shares 2"))(
    lambda w, train: evaluation.check_disjoint(train, ["a"])
)
NO_VECTORS: list[tuple[Any, str]] = [
    (None, "embeddings|queries"),
    (np.zeros(60), "embeddings|queries"),
    (np.zeros((60, 0)), "embeddings|queries"),
    (np.full((60, 4), NAN), "embeddings|queries"),
    (np.full((60, 4), "1"), "embeddings|queries"),
    (np.full((60, 4), 1j), "embeddings|queries"),
    (np.ma.array(np.zeros((60, 4)), mask=True), "embeddings|queries"),
    (np.zeros((59, 4)), "60|59"),
]
NO_IDS: list[tuple[Any, str]] = [
    (None, "labels"),
    ([NAN] * 60, "labels"),
    ([[0]] * 60, "labels"),
    ([0] * 59, "labels|60"),
    (np.ma.array([0] * 60, mask=True), "labels"),
]
for name in ("retrieval_metrics", "knn_accuracy"):
    rows(name, SiamesekitError, *NO_VECTORS)(
        lambda w, e, name=name: getattr(evaluation, name)(e, w.ids)
    )
    rows(f"{name} labels", SiamesekitError, *NO_IDS)(
        lambda w, ids, name=name: getattr(evaluation, name)(w.emb, ids)
    )
    rows(f"{name} scorer", SiamesekitError, ("cosine-ish", "scorer"), (5, "scorer"))(
        lambda w, scorer, name=name: getattr(evaluation, name)(w.emb, w.ids, scorer=scorer)
    )
rows("retrieval_metrics recall_at", PARAMETER, *((v, "recall_at") for v in (5, "5", [0], [1.5])))(
    lambda w, k: evaluation.retrieval_metrics(w.emb, w.ids, recall_at=k)
)
rows("knn k", PARAMETER, (0, "k must"), (60, "k must"), ("a", "k must"))(
    lambda w, k: evaluation.knn_accuracy(w.emb, w.ids, k=k)
)
rows("episode_accuracy", SiamesekitError, *NO_VECTORS)(
    lambda w, e: evaluation.episode_accuracy(e, w.ids, scorer=CosineHead(), way=3, n_episodes=2)
)
rows("episode_accuracy labels", SiamesekitError, *NO_IDS)(
    lambda w, y: evaluation.episode_accuracy(w.emb, y, scorer=CosineHead(), way=3, n_episodes=2)
)
rows(
    "draw_episodes",
    SiamesekitError,
    *(({"way": v}, "way") for v in (1, 11, 1.5, "a", None)),
    *(({"shot": v}, "shot") for v in (0, "a")),
    *(({"n_episodes": v}, "n_episodes") for v in (0, 1.5)),
    ({"groups": 5}, "groups"),
    ({"groups": [0] * 3}, "groups"),
    ({"within": "yes"}, "within"),
    ({"random_state": "x"}, "random_state"),
)(lambda w, args: evaluation.draw_episodes(w.ids, **{"way": 3, "n_episodes": 2, **args}))

# -- data --------------- ------------------------------------------------------------------------

BATCH = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
rows(
    "RandomAffine",
    SiamesekitError,
    (None, "x must be a Tensor; got NoneType"),
    (BATCH.numpy(), "x must be a Tensor; got ndarray"),
    (BATCH[0, 0], r"x must be .*of shape \(b, c, h, w\)"),
    (torch.zeros(2, 1, 0, 8), "x must be"),
    (BATCH.to(torch.uint8), "x must be floating point"),
)(lambda w, batch: data.RandomAffine()(batch, w.generator))
rows("RandomAffine generator", SiamesekitError, (None, "generator"), (5, "generator"))(
    lambda w, generator: data.RandomAffine()(BATCH, generator)
)
NO_IMAGES: list[tuple[Any, str]] = [(None, "images"), ([1, 2], "images"), (np.zeros(3), "images")]
rows("resize", SiamesekitError, *NO_IMAGES)(lambda w, images: data.resize(images, 4))
rows("resize side", PARAMETER, *((v, "side") for v in (0, 1.5, "a", 10**7)))(
    lambda w, side: data.resize(w.images, side)
)
rows("redraw", SiamesekitError, *NO_IMAGES)(lambda w, images: data.redraw(images))
rows("redraw pen", PARAMETER, *((v, "pen") for v in (0, 1.5, "a", 10**5)))(
    lambda w, pen: data.redraw(w.images, 8, pen)
)
rows("redraw side", PARAMETER, *((v, "side") for v in (0, "a", 10**7)))(
    lambda w, side: data.redraw(w.images, side)
)
rows("with_turns", SiamesekitError, (None, "images"), (np.zeros((2, 8, 8)), "images"))(
    lambda w, images: data.with_turns(images)
)
rows("koch_split", SiamesekitError, (None, "images"), (np.zeros((2, 8, 8)), "images"))(
    lambda w, images: data.koch_split(images)
)
rows("ImageSet", SiamesekitError, (None, "X"), (5, "X"), (np.zeros((3, 8, 8)), "X|y"))(
    lambda w, X: data.ImageSet(X, np.array([0, 1]))
)
for loader in (data.load_mnist, data.load_omniglot, data.load_omniglot_runs, data.load_orl_faces):
    rows(loader.__name__, SiamesekitError, *((p, "root") for p in (5, [], b"x", True)))(
        lambda w, root, loader=loader: loader(root)
    )
    rows(loader.__name__, DatasetNotFoundError, ("/nonexistent", "/nonexistent|root"))(
        lambda w, root, loader=loader: loader(root)
    )
rows("load_mnist split", PARAMETER, ("valid", "split"), (None, "split"))(
    lambda w, split: data.load_mnist("/nonexistent", split)
)
rows("load_omniglot cache", PARAMETER, ("yes", "cache"), (1, "cache"))(
    lambda w, cache: data.load_omniglot("/nonexistent", cache=cache)
)

# -- registry, recipes, the rest -----------------------------------------------------------------

rows("registry.get", SiamesekitError, (None, "name"), (5, "name"), ("cosin", "cosine"))(
    lambda w, name: registry.get("heads", name)
)
rows("registry.get kind", PARAMETER, ("head", "Did you mean 'heads'"), (None, "kind"))(
    lambda w, kind: registry.get(kind, "cosine")
)
rows("registry.make", SiamesekitError, (5, "head must be"), (None, "head must be"))(
    lambda w, spec: registry.make("heads", spec)
)
rows("registry.create", UnknownPartError, ("tripet", "Did you mean 'triplet'"))(
    lambda w, name: registry.create("losses", name)
)
rows("registry.create params", PARAMETER, ({"margn": 1}, "margn"), ({"margin": "a"}, "margin"))(
    lambda w, params: registry.create("losses", "triplet", **params)
)
rows("registry.register", PARAMETER, ("a:b", "name"), ("", "name"), (None, "name"))(
    lambda w, name: registry.register("heads", name)
)
for recipe in (recipes.koch_allpairs, recipes.omniglot_best, recipes.vinyals, recipes.koch2015):
    rows(recipe.__name__, PARAMETER, *((v, "max_epochs") for v in (-1, 1.5, "a", None)))(
        lambda w, n, recipe=recipe: recipe(max_epochs=n)
    )
rows("resolve_device", PARAMETER, *((v, "device") for v in ("tpu9", None, [1, 2], Unshowable())))(
    lambda w, device: tr.resolve_device(device)
)


# -- what the sweep over every public callable found ---------------------------------------------

CPU = torch.device("cpu")
rows("wrong signature", PARAMETER, (lambda: 0, "scorer must be a callable"))(
    lambda w, scorer: evaluation.episode_accuracy(w.emb, w.ids, way=3, scorer=scorer)
)
rows("wrong signature", PARAMETER, ([lambda: 0], r"callbacks\[0\] must be a callable"))(
    lambda w, callbacks: w.new(callbacks=callbacks).fit(w.X, w.y)
)
rows("name", PARAMETER, (np.zeros(3), "name must be text or None"))(
    lambda w, name: evaluation.episode_accuracy(
        w.emb, w.ids, way=3, scorer=evaluation.cosine_similarity, name=name
    )
)
rows("start", PARAMETER, (None, "start must be an integer"))(
    lambda w, start: TripletLoss()(w.scores, w.labels, None, start)
)
rows("margin", PARAMETER, (np.zeros(3), "margin must be"), (torch.zeros(3), "margin must be"))(
    lambda w, margin: batch_all_triplet_loss(-w.scores, w.labels, margin)
)
rows("MLP", PARAMETER, (np.array(3), "hidden must be a sequence"))(lambda w, n: MLP(hidden=n))
rows("ImageSet y", DATA, ([[1, 2], [3]], "y must hold one entry an image"))(
    lambda w, y: data.ImageSet(w.images, y)
)
rows("embed_items", PARAMETER, (None, "backbone must be a Module"))(
    lambda w, net: tr.embed_items(net, w.vectors, CPU, torch.float32)
)
rows("embed_items", DATA, (None, "items must be"), (np.zeros((3, 4)), "items must be"))(
    lambda w, items: tr.embed_items(w.clf.backbone_, items, CPU, torch.float32)
)
rows("resolve_precision", PARAMETER, (None, "input_shape must be"), (5, "input_shape must be"))(
    lambda w, shape: tr.resolve_precision("auto", CPU, shape)
)
rows("resolve_precision", PARAMETER, (None, "device must be"))(
    lambda w, device: tr.resolve_precision("auto", device, (4,))
)
rows("built network", DATA, (torch.zeros(2, 3, 8, 8), r"shape \(b, 1, 48, 48\), as Conv4 was"))(
    lambda w, x: w.net(Conv4)(x)
)
rows("sample_weight", DATA, (10**400, "sample_weight must hold"))(
    lambda w, weight: w.clf.score(w.X, w.y, weight)
)
rows("sparse ids", DATA, (torch.eye(3).to_sparse(), "ids must be integers"))(
    lambda w, ids: w.index.remove(ids)
)
rows("sparse labels", DATA, (torch.eye(24).to_sparse(), "y must hold"))(
    lambda w, y: w.new().fit(w.X, y)
)


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{k}-{row.entry.replace(' ', '_')}" for k, row in enumerate(ROWS)]
)
def test_bad_input_is_named_and_changes_nothing(row: Row, world: World) -> None:
    before = world.seen
    try:
        with pytest.raises(row.error, match=f"(?s){row.message}") as raised:
            row.call(world)
    finally:
        world.seen = world.digest()
    assert isinstance(raised.value, SiamesekitError | NotFittedError)
    assert world.seen == before


def test_the_table_is_long_enough() -> None:
    assert len(ROWS) >= 200


def test_right_input_at_the_border() -> None:
    generator = torch.Generator().manual_seed(0)
    assert data.RandomAffine()(torch.zeros(0, 1, 8, 8), generator).shape == (0, 1, 8, 8)
    clf = SiameseClassifier(
        "mlp",
        max_epochs=np.int64(1),  # type: ignore[arg-type]
        learning_rate=np.float32(0.001),  # type: ignore[arg-type]
        enroll_training=np.True_,  # type: ignore[arg-type]
        random_state=np.uint8(0),  # type: ignore[arg-type]
    )
    X = np.random.default_rng(0).normal(size=(12, 3))
    assert clf.fit(X, [2**70, -1] * 6).classes_.tolist() == [-1, 2**70]


def test_nothing_is_written_by_refused_calls(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    world = World()
    for row in ROWS:
        if row.entry in ("save", "Checkpoint path", "fit parameters"):
            with pytest.raises(row.error):
                row.call(world)
    assert not list(tmp_path.iterdir())
