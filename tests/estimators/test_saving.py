"""What is saved comes back whole, and nothing else does."""

import contextlib
import copy
import json
import math
import os
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from siamesekit import SiameseClassifier, registry
from siamesekit.backbones import MLP, Conv4
from siamesekit.data import RandomAffine
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    ModelNotWrittenError,
    SavedModelError,
)
from siamesekit.estimators import _folder
from siamesekit.heads import CosineHead, L1Head
from siamesekit.losses import BCELoss
from siamesekit.training import Checkpoint

X = (np.random.default_rng(0).normal(size=(24, 4)) + 2 * np.eye(4)[np.arange(24) % 4]).astype("f4")
Y = np.arange(24) % 4
SMALL = MLP(hidden=(), units=3)


def fit(backbone: Any = SMALL, y: Any = Y, **params: Any) -> SiameseClassifier:
    params = {"max_epochs": 1, "random_state": 0} | params
    return SiameseClassifier(backbone, **params).fit(X, y)


@pytest.fixture(scope="module")
def fitted() -> SiameseClassifier:
    """Nothing may change it."""
    return fit()


@pytest.fixture
def saved(fitted: SiameseClassifier, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "m")
    return tmp_path / "m"


def signed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a description as its author could: with a checksum that is right."""
    description = json.loads((folder / "model.json").read_bytes())
    description.pop("sha256")
    change(description)
    text = json.dumps(description, indent=1).encode()[2:] + b"\n"
    head = f'{{\n "sha256": "{_folder._digest(text)}",\n'.encode()
    (folder / "model.json").write_bytes(head + text)


# -- what comes back --------------------------------------------------------------------------


def test_a_saved_classifier_is_the_same(fitted: SiameseClassifier, tmp_path: Path) -> None:
    clf = copy.deepcopy(fitted).enroll(X[:1], [9])
    clf.save(tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = SiameseClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.transform(X), clf.transform(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(loaded.similarity(X[:3], X[:4]), clf.similarity(X[:3], X[:4]))
    assert loaded.classes_.tolist() == clf.classes_.tolist()
    assert vars(loaded).keys() == vars(clf).keys()
    np.testing.assert_equal(dict(loaded.history_), dict(clf.history_))
    for name in ("input_shape_", "n_features_in_", "embedding_size_", "input_kind_"):
        assert getattr(loaded, name) == getattr(clf, name)
    loaded.enroll(X[:1], [8]).save(tmp_path / "m")
    assert 8 in SiameseClassifier.load(tmp_path / "m").classes_
    assert os.listdir(tmp_path) == ["m"]
    assert len(os.listdir(tmp_path / "m")) == 4


def test_loading_leaves_the_callers_random_numbers_alone(saved: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SiameseClassifier.load(saved)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "bb"],
        np.array(["é", "\N{SNOWMAN}\ud800"], dtype=object),
        [2.0, 4.0],
        [True, False],
        [10**12, -3],
        [10**30, 2],
        np.array([2**63, 5], dtype=np.uint64),
        np.array([2**60 + 1, 2**60 + 2]),
        np.array([3, 4], dtype=np.int8),
        np.array([3, 4], dtype=">i4"),
        np.array([1, 0], dtype=np.float16),
        np.array(["of ten", "b"], dtype="U10"),
    ],
    ids=str,
)
def test_labels_are_kept_exactly(labels: Any, tmp_path: Path) -> None:
    clf = fit(y=np.asarray(labels)[Y % 2] if len(set(Y)) else labels)
    clf.save(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m")
    assert loaded.classes_.tolist() == clf.classes_.tolist()
    assert loaded.classes_.dtype.kind == clf.classes_.dtype.kind
    assert list(map(type, loaded.predict(X).tolist())) == list(map(type, clf.predict(X).tolist()))


@pytest.mark.parametrize(
    "y", [np.arange(24) % 4 + np.datetime64("2020-01-01"), (Y % 2).astype(np.longdouble)]
)
def test_labels_that_cannot_be_saved_are_refused_before_training(y: np.ndarray) -> None:
    with pytest.raises(InvalidDataError, match="y must hold"):
        fit(y=y)


def test_columns_keep_their_names_and_their_order(tmp_path: Path) -> None:
    table = pd.DataFrame(X, columns=list("abcd"))
    clf = SiameseClassifier(SMALL, max_epochs=1, random_state=0).fit(table, Y)
    clf.save(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m")
    assert loaded.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(loaded.predict(table), clf.predict(table))
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(table[list("dcba")])


def test_parts_with_parameters_come_back(tmp_path: Path) -> None:
    clf = fit(
        MLP(hidden=np.array([16, 8])), head=L1Head, loss=BCELoss(balance=True), sampler="pairs",
        augment=None, device=torch.device("cpu"),
        learning_rate=np.float64(0.01), optimizer="sgd",
    )  # fmt: skip
    clf.augment = RandomAffine(rotation=3)
    clf.save(tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = SiameseClassifier.load(tmp_path / "m")
    assert np.array_equal(loaded.backbone.hidden, [16, 8])  # type: ignore[union-attr]
    assert loaded.head is L1Head
    assert loaded.loss.balance is True  # type: ignore[union-attr]
    assert loaded.augment.rotation == 3  # type: ignore[union-attr]
    assert loaded.device == torch.device("cpu")
    assert loaded.learning_rate == 0.01
    assert isinstance(loaded.head_, L1Head)
    np.testing.assert_array_equal(loaded.transform(X), clf.transform(X))


@pytest.mark.parametrize("name", [n for n in registry.names("losses") if ":" not in n])
def test_every_loss_comes_back(name: str, tmp_path: Path) -> None:
    clf = fit(loss=name, head="l1" if name == "bce" else "cosine")
    clf.save(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m")
    assert type(loaded.loss_) is type(clf.loss_)
    for key, value in clf.loss_.state_dict().items():
        assert torch.equal(loaded.loss_.state_dict()[key], value)


def test_arguments_changed_after_training_are_no_hindrance(tmp_path: Path) -> None:
    clf = fit()
    before = clf.predict_proba(X)
    clf.set_params(head="l1", backbone="auto", loss="triplet", aggregate="max")
    clf.save(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict_proba(X), before)
    assert loaded.head == "l1"


# -- what only training needs -----------------------------------------------------------------


def constant(optimizer: torch.optim.Optimizer, n_steps: int) -> Any:
    return torch.optim.lr_scheduler.ConstantLR(optimizer)


class OwnLoss(BCELoss):
    """Has no name in the registry."""


TRAINING_ONLY: dict[str, Callable[[Path], Any]] = {
    "checkpoint": lambda folder: folder / "run",
    "validation": lambda folder: lambda line: 1.0,
    "schedule": lambda folder: constant,
    "callbacks": lambda folder: [lambda line, history: None],
    "random_state": lambda folder: np.random.RandomState(0),
    "augment": lambda folder: lambda batch, generator: batch,
    "optimizer": lambda folder: lambda groups: torch.optim.SGD(groups, lr=0.1),
}


@pytest.mark.parametrize("argument", TRAINING_ONLY)
def test_what_only_training_needs_may_be_missing(argument: str, tmp_path: Path) -> None:
    clf = fit()  # set after training: these tests are of what is saved
    default = getattr(SiameseClassifier(), argument)
    setattr(clf, argument, TRAINING_ONLY[argument](tmp_path))
    clf.save(tmp_path / "m")
    with pytest.warns(UserWarning, match=argument):
        loaded = SiameseClassifier.load(tmp_path / "m")
    assert getattr(loaded, argument) == default
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = SiameseClassifier.load(tmp_path / "m", **{argument: default})
    given.enroll(X[:1], [7])


@pytest.mark.parametrize(
    "value", [Checkpoint("run"), "run", np.random.default_rng(0), torch.Generator()], ids=type
)
def test_a_checkpoint_or_a_live_generator_is_not_taken_along(value: Any, tmp_path: Path) -> None:
    clf = fit()
    name = "checkpoint" if isinstance(value, str | Checkpoint) else "random_state"
    setattr(clf, name, value)
    clf.save(tmp_path / "m")
    with pytest.warns(UserWarning, match=name):
        assert getattr(SiameseClassifier.load(tmp_path / "m"), name) is None


def test_a_loss_of_ones_own_may_be_missing(tmp_path: Path) -> None:
    clf = fit(loss=OwnLoss(), head="l1")
    clf.save(tmp_path / "m")
    with pytest.warns(UserWarning, match=r"loss=.*OwnLoss"):
        loaded = SiameseClassifier.load(tmp_path / "m")
    assert loaded.loss_ is None
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    assert isinstance(SiameseClassifier.load(tmp_path / "m", loss=OwnLoss()).loss_, OwnLoss)
    loaded.save(tmp_path / "again")
    again = SiameseClassifier.load(tmp_path / "again")
    np.testing.assert_array_equal(again.predict(X), clf.predict(X))


def test_a_backbone_without_a_name_must_be_given_again(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8))
    clf = fit(net)
    clf.save(tmp_path / "m")
    with pytest.raises(SavedModelError, match=r"Sequential.*backbone=\.\.\."):
        SiameseClassifier.load(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m", backbone=net)
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    with pytest.raises(SavedModelError, match="saved with another backbone"):
        SiameseClassifier.load(tmp_path / "m", backbone=nn.Linear(4, 8))


def test_a_backbone_with_a_parameter_that_json_cannot_hold_must_be_given_again(
    tmp_path: Path,
) -> None:
    backbone = MLP(hidden=range(4, 6))  # type: ignore[arg-type]
    clf = fit(backbone)
    clf.save(tmp_path / "m")
    with pytest.raises(SavedModelError, match="a parameter that json cannot hold; pass it"):
        SiameseClassifier.load(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m", backbone=backbone)
    np.testing.assert_array_equal(loaded.transform(X), clf.transform(X))


PLUGIN = """
import torch
from siamesekit.heads import CosineHead
from siamesekit.losses import TripletLoss
class ShopHead(CosineHead):
    def __init__(self, sharpness=2.0):
        super().__init__()
        self.sharpness = sharpness
class ShopNet(torch.nn.Linear):
    def __init__(self):
        super().__init__(4, 3)
class ShopLoss(TripletLoss):
    pass
"""


def test_plugins_given_as_instances_load_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "saving_shop.py").write_text(PLUGIN)
    info = tmp_path / "saving_shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: saving-shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[siamesekit.heads]\nshop = saving_shop:ShopHead\n"
        "[siamesekit.backbones]\nshop = saving_shop:ShopNet\n"
        "[siamesekit.losses]\nshop = saving_shop:ShopLoss\n"
    )
    import saving_shop  # type: ignore[import-not-found]

    clf = fit("shop", head=saving_shop.ShopHead(3.0), loss=saving_shop.ShopLoss(margin=0.4))
    clf.save(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m")
    assert loaded.head_.sharpness == 3.0  # type: ignore[attr-defined]
    assert type(loaded.backbone_) is saving_shop.ShopNet
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    # Uninstalled: the loss is not needed to use it, backbone and head are.
    (info / "entry_points.txt").unlink()
    with (
        pytest.warns(UserWarning, match="loss=shop"),
        pytest.raises(SavedModelError, match=r"'shop'.*backbone=\.\.\."),
    ):
        SiameseClassifier.load(tmp_path / "m")
    given = {"backbone": saving_shop.ShopNet(), "head": saving_shop.ShopHead()}
    with pytest.warns(UserWarning, match="loss=shop"):
        loaded = SiameseClassifier.load(tmp_path / "m", **given)
    assert loaded.loss_ is None


# -- networks of every kind -------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = self.a
        self.register_buffer("turned", torch.arange(12.0).reshape(3, 4).T)
        self.register_buffer("part", torch.arange(100.0)[3:7])
        self.register_buffer("mask", torch.full((3,), -torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.b(torch.relu(self.a(x))) + self.part
        return z


class Counted(nn.Linear):
    """Keeps what is no tensor beside its weights."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.seen: Any = {"n": 3, "names": ["a", ("b", None)], "t": torch.ones(2), 5: b"\0\1"}

    def get_extra_state(self) -> Any:
        return self.seen

    def set_extra_state(self, state: Any) -> None:
        self.seen = state


@pytest.mark.parametrize("make", [Tied, Counted])
def test_tied_weights_and_extra_state_are_saved(make: type[nn.Module], tmp_path: Path) -> None:
    clf = fit(make())
    clf.save(tmp_path / "m")
    fresh = make()
    if isinstance(fresh, Counted):
        fresh.seen = None
    loaded = SiameseClassifier.load(tmp_path / "m", backbone=fresh)
    np.testing.assert_array_equal(loaded.transform(X), clf.transform(X))
    if isinstance(loaded.backbone_, Counted):
        assert loaded.backbone_.seen["names"] == ["a", ("b", None)]
        assert loaded.backbone_.seen[5] == b"\0\1"
        assert torch.equal(loaded.backbone_.seen["t"], torch.ones(2))


def test_a_network_that_cannot_be_saved_is_told_of_before_training(tmp_path: Path) -> None:
    net = Counted()
    net.seen = object
    with pytest.warns(UserWarning, match=r"not saved.*backbone\._extra_state"):
        clf = fit(net)
    with pytest.raises(InvalidParameterError, match=r"backbone\._extra_state"):
        clf.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_weights_that_are_not_a_number_are_not_saved(saved: Path) -> None:
    clf = fit()
    with torch.no_grad():
        next(clf.backbone_.parameters()).fill_(torch.nan)
    with pytest.raises(InvalidParameterError, match="NaN"):
        clf.save(saved)
    SiameseClassifier.load(saved)


# -- the description --------------------------------------------------------------------------


def test_the_description_is_strict_json_and_says_what_wrote_it(saved: Path) -> None:
    def refuse(token: str) -> None:
        raise AssertionError(token)

    description = json.loads((saved / "model.json").read_text("ascii"), parse_constant=refuse)
    assert description["format"] == 2
    assert description["torch"] == torch.__version__
    assert description["siamesekit"]


def test_no_bit_can_change_unnoticed(saved: Path) -> None:
    generator = np.random.default_rng(0)
    for file in sorted(saved.iterdir()):
        if file.name == "README.md":  # it tells of the model, and is none of it
            continue
        whole = file.read_bytes()
        for place in generator.integers(len(whole), size=20):
            changed = bytearray(whole)
            changed[place] ^= 1 << int(generator.integers(8))
            file.write_bytes(changed)
            with pytest.raises(SavedModelError, match="cannot be loaded"):
                SiameseClassifier.load(saved)
        for length in [0, 1, *generator.integers(len(whole), size=8)]:
            file.write_bytes(whole[:length])
            with pytest.raises(SavedModelError, match="cannot be loaded"):
                SiameseClassifier.load(saved)
        file.write_bytes(whole + b" ")
        with pytest.raises(SavedModelError, match="cannot be loaded"):
            SiameseClassifier.load(saved)
        file.unlink()
        with pytest.raises(SavedModelError, match="cannot be loaded"):
            SiameseClassifier.load(saved)
        file.write_bytes(whole)
    SiameseClassifier.load(saved)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) inside a json value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, Any]] = []
    for key, inner in list(pairs):
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += places(inner)
    return found


ODD = [None, True, -1, 10**12, 1e308, "x", "", [], {}, [[]], {"$part": 3}, {"$array": {}}, [None]]


def test_any_signed_edit_is_refused_by_name_or_harmless(saved: Path) -> None:
    original = (saved / "model.json").read_bytes()
    n_places = len(places(json.loads(original)))
    generator = np.random.default_rng(1)
    for k in generator.permutation(n_places)[:80]:
        (saved / "model.json").write_bytes(original)

        def edit(description: dict[str, Any], k: int = int(k)) -> None:
            container, key = places(description)[k % len(places(description))]
            choice = int(generator.integers(len(ODD) + 1))
            if choice == len(ODD):
                del container[key]
            else:
                container[key] = ODD[choice]

        signed(saved, edit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                SiameseClassifier.load(saved)
            except SavedModelError:
                continue
            except InvalidParameterError as error:
                raise AssertionError(f"edit {k} came out unnamed") from error


def put(*path: Any) -> Callable[[Any], Callable[[dict[str, Any]], None]]:
    def with_value(value: Any) -> Callable[[dict[str, Any]], None]:
        def change(description: dict[str, Any]) -> None:
            container: Any = description
            for key in path[:-1]:
                container = container[key]
            container[path[-1]] = value

        return change

    return with_value


def part(kind: str, name: str, **params: Any) -> dict[str, Any]:
    return {"$part": {"kind": kind, "name": name, "params": params}}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "an old-style augmentation": (
        put("params", "augment")({"augmentation": "load_omniglot"}), "'augmentation'"),
    "an import path": (
        put("params", "callbacks")(part("os", "system", command="true")), "kind of part"),
    "a huge layer": (
        put("parts", "backbone")(part("backbones", "mlp", units=10**9, hidden=[])), "memory"),
    "a huger layer": (
        put("parts", "backbone")(
            part("backbones", "mlp", units=3, hidden={"$tuple": [10**10]})), "memory"),
    "a huge memory": (
        put("parts", "loss")(part("losses", "cross-batch-memory", memory_size=10**12)), ""),
    "huge items": (put("fitted", "input_shape")([2**30]), ""),
    "a huge image": (put("fitted", "input_shape")([1, 2**30, 2**30]), ""),
    "huge classes": (put("fitted", "n_classes_trained")(10**30), "n_classes_trained"),
    "huge labels": (put("state", "labels", "dtype")("S1000000000"), "type of labels"),
    "huge arrays": (
        put("params", "patience")(
            {"$array": {"dtype": "<f8", "shape": [10**6, 10**6], "values": []}}), "shape"),
    "mistyped labels": (put("state", "labels", "values", 0)("a"), "labels"),
    "too few labels": (put("state", "labels", "values")([1]), ""),
    "a file elsewhere": (
        put("files", "weights", "file")("../m/weights.safetensors"), "names files"),
    "an absolute file": (put("files", "weights", "file")("/etc/passwd"), "names files"),
    "no files": (put("files")({}), "names files"),
    "a slope of nothing": (put("fitted", "calibration")([{"$float": "nan"}, 0]), "calibration"),
    "one number too few": (put("fitted", "calibration")([1.0]), "calibration"),
    "no slope of probabilities": (put("fitted", "proba_slope")(None), "proba_slope"),
    "a deep value": (put("params", "callbacks")(deep(200)), "depth"),
    "an unknown argument": (put("params", "eval")("1"), "unknown to this version"),
    "another estimator": (put("estimator")("SiameseGuesser"), "SiameseGuesser"),
    "a newer version": (put("format")(99), "format 99"),
    "no version": (put("format")("1"), "no saved model"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_what_a_strangers_file_asks_for_is_refused(case: str, saved: Path) -> None:
    change, message = HOSTILE[case]
    signed(saved, change)
    start = time.monotonic()
    with pytest.raises(SavedModelError, match=message):
        SiameseClassifier.load(saved)
    assert time.monotonic() - start < 5


def test_an_augmentation_that_nobody_registered_is_not_called(saved: Path) -> None:
    for name in ("load_omniglot", "os.system", "resize"):
        signed(saved, put("params", "augment")(part("augmentations", name, root="/")))
        with pytest.warns(UserWarning, match=f"augment={name}"):
            assert SiameseClassifier.load(saved).augment == "auto"


def test_json_nested_beyond_reason_is_refused(saved: Path) -> None:
    for text in (b"[" * 100_000, b'{"format": ' + b"9" * 10_000 + b"}", b"\xff", b"null"):
        (saved / "model.json").write_bytes(text)
        with pytest.raises(SavedModelError, match=r"model\.json"):
            SiameseClassifier.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.update({k: v * torch.nan for k, v in w.items() if v.is_floating_point()}), ""),
        (lambda w: w.update({k: v.to(torch.int8) for k, v in w.items()}), "int8"),
        (lambda w: w.update({k: v.flatten()[:1] for k, v in w.items()}), ""),
        (lambda w: w.pop(next(k for k in w if k.startswith("backbone"))), "another backbone"),
        (lambda w: w.update(more=torch.ones(1)), None),
        (lambda w: w.pop("standardizer.scale", None), "standardizer"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Tensor]], Any], message: str | None, saved: Path
) -> None:
    file = saved / "weights.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)
    data = file.read_bytes()
    entry = {"file": file.name, "bytes": len(data), "sha256": _folder._digest(data)}
    signed(saved, put("files", "weights")(entry))
    if message is None:
        SiameseClassifier.load(saved)
        return
    with pytest.raises(SavedModelError, match=message):
        SiameseClassifier.load(saved)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_file_is_refused_at_once(saved: Path) -> None:
    for name in ("model.json", "weights.safetensors"):
        whole = (saved / name).read_bytes()
        (saved / name).unlink()
        os.mkfifo(saved / name)
        with pytest.raises(SavedModelError, match="no regular file"):
            SiameseClassifier.load(saved)
        (saved / name).unlink()
        (saved / name).write_bytes(whole)


def test_a_file_beyond_reason_is_not_read(saved: Path) -> None:
    file = saved / "weights.safetensors"
    with open(file, "ab") as handle:
        handle.truncate(2**40)
    signed(saved, put("files", "weights", "bytes")(2**40))
    with pytest.raises(SavedModelError, match="needs fewer"):
        SiameseClassifier.load(saved)


@pytest.mark.parametrize("path", [5, [], b"m", "", None, "a\0b"])
def test_a_path_that_is_none_is_refused(path: Any, fitted: SiameseClassifier) -> None:
    for call in (fitted.save, SiameseClassifier.load):
        with pytest.raises(InvalidParameterError, match="path must be"):
            call(path)


def test_unknown_arguments_of_load_are_refused(saved: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"'devise'.*Did you mean 'device'"):
        SiameseClassifier.load(saved, devise="cpu")


def test_where_nothing_is_saved_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path(__file__)):
        with pytest.raises(SavedModelError, match=r"cannot be loaded: .*model\.json"):
            SiameseClassifier.load(path)


def first_format(folder: Path, clf: SiameseClassifier) -> None:
    """Write a model as the first release did."""
    clf.save(folder)
    digests = {f.name: _folder._digest(f.read_bytes()) for f in folder.glob("*.safetensors")}
    description = {
        "format": 1,
        "estimator": "SiameseClassifier",
        "params": {
            "backbone": {"part": "conv4", "params": {"width": 4}},
            "head": {"value": "cosine"},
            "loss": {"part": "episodic", "params": {"shot": 1}},
            "augment": {"augmentation": "RandomAffine", "params": {"scale": [0.9, 1.1]}},
            "callbacks": {"value": []},
            "schedule": {"given": "builtins.function"},
        },
        "fitted": {
            "input_shape": [1, 16, 16],
            "calibration": [2.0, 1.0],
            "precision": "float32",
            "history": {"loss": [1.0, math.nan]},
            "dim": 64,
            "n_classes_trained": 4,
        },
        "labels": {"dtype": "<U5", "values": clf.gallery_.labels.tolist()},
        "sha256": digests,
    }
    (folder / "model.json").write_text(json.dumps(description))


def test_models_of_the_first_format_load(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (24, 16, 16), dtype=np.uint8)
    clf = SiameseClassifier(Conv4(width=4), max_epochs=1, random_state=0)
    clf.fit(images, np.array(["a", "bb", "c", "d"])[Y])
    first_format(tmp_path / "m", clf)
    with pytest.warns(UserWarning, match="schedule=builtins.function"):
        loaded = SiameseClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.transform(images), clf.transform(images))
    assert loaded.classes_.tolist() == ["a", "bb", "c", "d"]
    # It had one slope for both questions.
    assert loaded.proba_slope_ == loaded.calibration_[0] == 2.0
    assert loaded.augment.scale == (0.9, 1.1)  # type: ignore[union-attr]
    assert math.isnan(loaded.history_["loss"][1])
    loaded.schedule = "cosine"
    loaded.save(tmp_path / "m")
    assert SiameseClassifier.load(tmp_path / "m").classes_.tolist() == ["a", "bb", "c", "d"]
    assert len(os.listdir(tmp_path / "m")) == 4


@pytest.mark.parametrize("name", ["load_omniglot", "resize", "KOCH_VALIDATION_ALPHABETS", "x"])
def test_the_first_format_calls_no_function_of_the_package(name: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (24, 16, 16), dtype=np.uint8)
    clf = SiameseClassifier(Conv4(width=4), max_epochs=1, random_state=0).fit(images, Y)
    first_format(tmp_path / "m", clf)
    description = json.loads((tmp_path / "m" / "model.json").read_text())
    description["params"]["augment"]["augmentation"] = name
    (tmp_path / "m" / "model.json").write_text(json.dumps(description))
    with pytest.raises(SavedModelError, match="format 1 is damaged"):
        SiameseClassifier.load(tmp_path / "m")


# -- the folder -------------------------------------------------------------------------------


def test_a_folder_of_something_else_is_left_alone(
    fitted: SiameseClassifier, tmp_path: Path
) -> None:
    contents = {
        "thesis": {"chapter1.txt": "…"},
        "project": {"model.json": '{"format": "layers-model", "modelTopology": {}}', "a.tex": "…"},
        "list": {"model.json": "[1]"},
        "broken": {"model.json": "{"},
        "other weights": {"weights.safetensors": "…", "model.safetensors": "…"},
        "half a model": {"model.json": '{"format": 1, "estimator": "x"}'},
    }
    for name, files in contents.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
        with pytest.raises(InvalidParameterError, match="neither"):
            fitted.save(tmp_path / name)
        found = {f.name: f.read_text() for f in (tmp_path / name).iterdir()}
        assert found == files
    (tmp_path / "file").write_text("…")
    with pytest.raises(InvalidParameterError, match="is a file"):
        fitted.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "…"


def test_what_else_lies_in_the_folder_of_a_model_stays(
    saved: Path, fitted: SiameseClassifier
) -> None:
    kept = {"CARD.md": "a card", ".gitattributes": "x", "notes.safetensors": "…"}
    for name, text in kept.items():
        (saved / name).write_text(text)
    (saved / "figures").mkdir()
    (saved / "weights-0123456789abcdef.safetensors").write_text("mine, though it looks like yours")
    copied = (saved / "gallery.safetensors").read_bytes()
    (saved / "backup.safetensors").write_bytes(copied)
    for _ in range(3):
        fitted.save(saved)
    for name, text in kept.items():
        assert (saved / name).read_text() == text
    assert (saved / "figures").is_dir()
    assert (saved / "weights-0123456789abcdef.safetensors").read_text().startswith("mine")
    assert (saved / "backup.safetensors").read_bytes() == copied
    assert len(os.listdir(saved)) == len(kept) + 3 + 4
    SiameseClassifier.load(saved)


def test_empty_folders_links_and_relative_paths_are_taken(
    fitted: SiameseClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    fitted.save(tmp_path / "empty")
    (tmp_path / "link").symlink_to("empty")
    other = fit(SMALL, max_epochs=2)
    other.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    loaded = SiameseClassifier.load(tmp_path / "empty")
    np.testing.assert_array_equal(loaded.transform(X), other.transform(X))
    (tmp_path / "dangling").symlink_to("there/m")
    fitted.save(tmp_path / "dangling")
    SiameseClassifier.load(tmp_path / "there" / "m")
    monkeypatch.chdir(tmp_path / "empty")
    fitted.save("../empty")
    fitted.save(".")
    SiameseClassifier.load("../empty")
    fitted.save(str(tmp_path / "a" / "new" / "one") + "/")
    assert sorted(os.listdir(tmp_path)) == ["a", "dangling", "empty", "link", "there"]


@pytest.mark.skipif(os.name != "posix", reason="needs modes")
@pytest.mark.parametrize(("mask", "file", "folder"), [(0o077, 0o600, 0o700), (0o022, 0o644, 0o755)])
def test_only_those_may_read_it_that_the_umask_lets(
    mask: int, file: int, folder: int, fitted: SiameseClassifier, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        fitted.save(tmp_path / "m")
    finally:
        os.umask(before)
    assert (tmp_path / "m").stat().st_mode & 0o777 == folder
    assert {f.stat().st_mode & 0o777 for f in (tmp_path / "m").iterdir()} == {file}
    # What its owner has closed since stays closed.
    for each in (tmp_path / "m").iterdir():
        each.chmod(0o600)
    fitted.save(tmp_path / "m")
    assert {f.stat().st_mode & 0o777 for f in (tmp_path / "m").iterdir()} == {0o600}


@pytest.mark.parametrize("n_writes", range(6))
def test_a_full_disk_leaves_the_old_model(
    n_writes: int, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, real = [n_writes], os.fsync

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(handle)

    before = SiameseClassifier.load(saved).transform(X)
    other = fit(SMALL, max_epochs=2)
    monkeypatch.setattr(os, "fsync", full)
    # Files, the folder, then the description: from there on it is the new model's.
    is_written = n_writes >= 4
    failure = pytest.raises(ModelNotWrittenError, match="No space left")
    with contextlib.nullcontext() if is_written else failure:
        other.save(saved)
    after = other.transform(X) if is_written else before
    monkeypatch.undo()
    np.testing.assert_array_equal(SiameseClassifier.load(saved).transform(X), after)
    assert not list(saved.glob(".*"))
    other.save(saved)
    assert len(os.listdir(saved)) == 4


def test_a_first_save_that_fails_leaves_nothing(
    fitted: SiameseClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fitted.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def start_writer(models: list[SiameseClassifier], folder: Path) -> int:
    """Start a process that saves one model after the other, and knows no cleaning up."""
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                for model in models:
                    model.save(folder)
        finally:
            os._exit(1)
    return pid


def end_suddenly(pid: int) -> None:
    os.kill(pid, 9)
    os.waitpid(pid, 0)


@pytest.fixture
def two() -> tuple[list[SiameseClassifier], list[np.ndarray]]:
    """Two models that answer differently."""
    models = [fit().forget([0]), fit().forget([1])]
    return models, [model.classes_ for model in models]


def place_of(folder: Path, answers: list[np.ndarray]) -> int:
    found = SiameseClassifier.load(folder).classes_
    return [bool((found == answer).all()) for answer in answers].index(True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_writer_killed_at_any_moment_leaves_a_whole_model(
    two: tuple[list[SiameseClassifier], list[np.ndarray]],
    tmp_path: Path,
    fitted: SiameseClassifier,
) -> None:
    models, answers = two
    generator = np.random.default_rng(0)
    for _ in range(30):
        writer = start_writer(models, tmp_path / "m")
        time.sleep(0.01 + float(generator.random()) * 0.03)
        end_suddenly(writer)
        if (tmp_path / "m" / "model.json").exists():  # once the first one was whole
            place_of(tmp_path / "m", answers)
    fitted.save(tmp_path / "m")
    assert len(os.listdir(tmp_path / "m")) == 4
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_readers_beside_two_writers_always_get_a_whole_model(
    two: tuple[list[SiameseClassifier], list[np.ndarray]], tmp_path: Path
) -> None:
    models, answers = two
    models[0].save(tmp_path / "m")
    writers = [start_writer(models, tmp_path / "m") for _ in range(2)]
    try:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            place_of(tmp_path / "m", answers)
    finally:
        for writer in writers:
            end_suddenly(writer)
    models[1].save(tmp_path / "m")
    assert place_of(tmp_path / "m", answers) == 1


def test_saving_beside_threads_that_enroll_writes_one_moment(tmp_path: Path) -> None:
    clf, stop = fit(), threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            clf.enroll(X[:3], [7, 7, 8]).forget([7, 8])

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(6):
            clf.save(tmp_path / "m")
            assert set(SiameseClassifier.load(tmp_path / "m").classes_) <= {0, 1, 2, 3, 7, 8}
    finally:
        stop.set()
        thread.join()


def test_a_head_of_another_class_is_what_was_given(saved: Path) -> None:
    assert type(SiameseClassifier.load(saved, head=CosineHead()).head_) is CosineHead
