"""An exported folder answers as the estimator did, by NumPy and onnxruntime alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _loading import load_module
from torch import nn

from siamesekit import SiameseClassifier, SiameseEmbedder, SiameseVerifier
from siamesekit._random import drawing_from
from siamesekit.errors import InvalidDataError, InvalidParameterError, ModelNotWrittenError
from siamesekit.estimators import _exporting, _reader
from siamesekit.estimators._input_kind import InputKind
from siamesekit.estimators._inputs import check_items, learn_items
from siamesekit.heads import CosineHead

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.filterwarnings("ignore")

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(6), 8)
    return ((rng.random((6, 8, 8))[y] + rng.random((48, 8, 8))) * 127).astype("uint8"), y


def fitted(cls: type[Any] = SiameseClassifier, **params: Any) -> Any:
    X, y = pictures()
    names = params.pop("names", y)
    y = names if len(np.unique(names)) > 3 else y
    options = {"max_epochs": 1, "random_state": 0, "precision": "float32", "device": "cpu"}
    if cls is SiameseClassifier:
        options["validation"] = 0.34
    return cls("mnist-mlp", **(options | params)).fit(X, y)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[SiameseClassifier, Path]:
    """Return a classifier with an unknown label, and its folder."""
    clf, folder = fitted(unknown_label=-1, fpir=0.4), tmp_path_factory.mktemp("model")
    clf.export(folder)
    return clf, folder


@pytest.fixture
def quick(exported: tuple[SiameseClassifier, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the network that is exported already in the place of any other; heads are their own."""
    folder = exported[1]
    entry = json.loads((folder / "serving.json").read_text())["files"]["embedder"]
    data, own = (folder / entry["file"]).read_bytes(), _exporting._onnx

    def onnx(module: nn.Module, *rest: Any) -> bytes:
        return data if isinstance(module, _exporting._Embeds) else own(module, *rest)

    monkeypatch.setattr(_exporting, "_onnx", onnx)
    monkeypatch.setattr(_exporting, "check_backbone", lambda *_: None)


def check_the_same(clf: SiameseClassifier, reader: Any, X: Any, k: int = 3) -> None:
    np.testing.assert_allclose(reader.transform(X), clf.transform(X), **CLOSE)
    np.testing.assert_array_equal(reader.predict(X), clf.predict(X))
    np.testing.assert_allclose(reader.predict_proba(X), clf.predict_proba(X), **CLOSE)
    np.testing.assert_allclose(reader.similarity(X, X[:3]), clf.similarity(X, X[:3]), **CLOSE)
    found = clf.identify(X, k, confidence=None)
    labels, scores, unknown, probabilities, nobody = reader.identify(X, k)
    np.testing.assert_array_equal(labels, found.labels)
    np.testing.assert_array_equal(unknown, found.unknown)
    np.testing.assert_allclose(scores, found.scores, **CLOSE)
    np.testing.assert_allclose(probabilities, found.probabilities, **CLOSE)
    np.testing.assert_allclose(nobody, found.probability_unknown, **CLOSE)
    y = clf.classes_[np.arange(len(X)) % len(clf.classes_)]
    np.testing.assert_allclose(reader.verify(X, y), clf.verify(X, y), **CLOSE)
    np.testing.assert_array_equal(reader.verify(X, y, -0.5), clf.verify(X, y, threshold=-0.5))


def test_a_classifier_answers_the_same(exported: tuple[SiameseClassifier, Path]) -> None:
    clf, folder = exported
    X, _ = pictures(1)
    check_the_same(clf, _reader.Reader(folder), X)
    check_the_same(clf, _reader.Reader(folder), X[:1] / np.float32(255))  # one, and as floats
    check_the_same(clf, _reader.Reader(folder), X[:2] > 100)


def test_the_reader_needs_neither_torch_nor_this_package(
    exported: tuple[SiameseClassifier, Path],
) -> None:
    clf, folder = exported
    assert (folder / "reader.py").read_bytes() == Path(_reader.__file__).read_bytes()
    code = (
        "import sys, numpy as np; from reader import Reader; "
        "print(Reader().predict(np.arange(64, dtype='u1').reshape(1, 8, 8)).tolist()); "
        "assert not {'torch', 'siamesekit', 'sklearn'} & set(sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    wanted = clf.predict(np.arange(64, dtype="u1").reshape(1, 8, 8)).tolist()
    assert done.stdout.strip() == str(wanted)


def test_the_reader_is_short() -> None:
    lines = Path(_reader.__file__).read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 150


def test_the_card_says_what_is_there(exported: tuple[SiameseClassifier, Path]) -> None:
    card = (exported[1] / "CARD.md").read_text()
    for wanted in ("SiameseClassifier", "CosineHead", "(1, 8, 8)", "held-out", "0.4", "NetMLP"):
        assert wanted in card or wanted == "NetMLP"


@pytest.mark.parametrize(
    ("head", "aggregate"),
    [
        ("cosine", "mean"),
        ("euclidean", "prototype"),
        ("sqeuclidean", "max"),
        ("l1", "prototype"),
        ("squared", "mean"),
        ("cosine-concat", "max"),  # as ONNX
    ],
)
def test_every_head_and_aggregate(
    head: str,
    aggregate: str,
    exported: tuple[SiameseClassifier, Path],
    quick: None,
    tmp_path: Path,
) -> None:
    clf = fitted(head=head, aggregate=aggregate, max_epochs=0)
    clf.backbone_ = exported[0].backbone_
    X, y = pictures()
    clf.forget(clf.classes_).enroll(X, y)
    clf.export(tmp_path / "model")
    check_the_same(clf, _reader.Reader(tmp_path / "model"), pictures(2)[0][:9])


@pytest.mark.parametrize(
    ("labels", "unknown"),
    [
        (np.array(list("abcdef")), "nobody at all"),
        (np.array([3, 1, 2, 9, 8, 7]), None),
        (np.array([True, False]), None),
        (np.array([0.0, 1.0, 2.0]), None),
        (np.array([2**63 + 1, 5], dtype=np.uint64), None),
        (np.array(["a", "bcd"], dtype=object), None),
    ],
)
def test_labels_of_every_kind(
    labels: np.ndarray,
    unknown: Any,
    exported: tuple[SiameseClassifier, Path],
    quick: None,
    tmp_path: Path,
) -> None:
    X, y = pictures()
    clf = fitted(unknown_label=unknown, fpir=0.4, validation=0.34, names=labels[y % len(labels)])
    if unknown is None:  # of few classes a network of its own could not be trained
        clf.backbone_ = exported[0].backbone_
        clf.forget(clf.classes_).enroll(X[:12], labels[np.arange(12) % len(labels)])
    clf.export(tmp_path / "model")
    reader = _reader.Reader(tmp_path / "model")
    check_the_same(clf, reader, X[:9], k=2)
    assert reader.classes.dtype == clf.classes_.dtype
    with pytest.raises(ValueError, match="enrolled"):
        reader.verify(X[:1], ["a stranger"])


def test_ties_are_broken_by_item_and_class_alike(
    exported: tuple[SiameseClassifier, Path], quick: None, tmp_path: Path
) -> None:
    clf = fitted()
    clf.backbone_ = exported[0].backbone_
    X, _ = pictures()
    clf.forget(clf.classes_).enroll(X[[0, 0, 0, 1, 1]], list("abcde"))
    clf.export(tmp_path / "model")
    reader, asked = _reader.Reader(tmp_path / "model"), np.concatenate([X, pictures(3)[0]])
    assert len(set(clf.predict(asked))) > 2
    check_the_same(clf, reader, asked, k=5)


def test_an_empty_gallery_answers_nobody(quick: None, tmp_path: Path) -> None:
    fitted(enroll_training=False).export(tmp_path / "model")
    reader = _reader.Reader(tmp_path / "model")
    assert reader.transform(pictures()[0]).shape[0] == 48
    with pytest.raises(ValueError, match="nobody is enrolled"):
        reader.predict(pictures()[0])


def test_a_verifier_and_an_embedder(
    exported: tuple[SiameseClassifier, Path], quick: None, tmp_path: Path
) -> None:
    X, _ = pictures(1)
    A, B = X[:20], X[20:40]
    verifier = fitted(SiameseVerifier)
    verifier.backbone_ = exported[0].backbone_
    verifier.set_threshold(-0.2)
    verifier.export(tmp_path / "model")
    reader = _reader.Reader(tmp_path / "model")
    np.testing.assert_allclose(
        reader.decision_function(A, B), verifier.decision_function(A, B), **CLOSE
    )
    np.testing.assert_allclose(reader.predict_proba(A, B), verifier.predict_proba(A, B), **CLOSE)
    np.testing.assert_array_equal(reader.predict(A, B), verifier.predict(A, B))
    with pytest.raises(ValueError, match="as many"):
        reader.decision_function(A, B[:3])
    embedder = fitted(SiameseEmbedder)
    embedder.backbone_ = exported[0].backbone_
    embedder.export(tmp_path / "model")  # takes the place of the verifier
    np.testing.assert_allclose(
        _reader.Reader(tmp_path / "model").transform(X), embedder.transform(X), **CLOSE
    )


def test_features_are_standardised(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), 8)
    X = (rng.normal(size=(40, 6)) + rng.normal(size=(5, 6))[y]) * 10.0 ** np.arange(-3, 9, 2) + 1e6
    clf = SiameseClassifier(max_epochs=1, random_state=0, device="cpu").fit(X, y)
    clf.export(tmp_path / "model")
    far = np.concatenate([X, X * 1e30])  # drawn in
    check_the_same(clf, _reader.Reader(tmp_path / "model"), far)


# -- input of every kind --------------------------------------------------------------------------

LEARNED = {
    "bytes": np.array([[0, 255], [7, 9]], "u1"),
    "unit": np.array([[0, 0.3], [1, 0.2]], "f4"),
    "levels": np.array([[0, 200.0], [100, 3]], "f4"),
    "numbers": np.array([[-3, 200.5], [100, 3]], "f4"),
    "bool": np.array([[False, True], [True, True]]),
}
ASKED = [
    np.array(values, dtype)
    for values in ([[0, 1], [1, 0]], [[0, 0], [0, 0]], [[0, 255], [3, 4]], [[2, 3], [5, 120]])
    for dtype in ("?", "u1", "i8", "f4", "f8")
] + [np.array(v, "f4") for v in ([[0.5, 0.1], [0, 1]], [[-1, 0.5], [1, 2]], [[300, 2], [1, -9]])]


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("kind", LEARNED)
def test_items_are_taken_or_refused_alike(kind: str, images: bool) -> None:
    shape = (2, 1, 1, 2) if images else (2, 2)
    _, learned, _ = learn_items(torch.from_numpy(LEARNED[kind]).view(shape), standardised=False)
    reader = _reader.Reader.__new__(_reader.Reader)
    reader.facts = {"input_shape": list(shape[1:]), "input_kind": list(learned)}
    reader.arrays = {}
    for X in ASKED:
        given = X.reshape(shape)
        try:
            wanted = check_items(torch.from_numpy(given), InputKind(*learned)).numpy()
        except InvalidDataError:
            with pytest.raises(ValueError, match="must be"):
                reader._items(given)
        else:
            found = reader._items(given)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "X",
    [np.zeros((2, 9, 8), "u1"), np.zeros((0, 8, 8), "u1"), np.full((1, 8, 8), np.nan), ["a", "b"]],
)
def test_the_reader_refuses_by_value_error(
    X: Any, exported: tuple[SiameseClassifier, Path]
) -> None:
    with pytest.raises(ValueError, match="items must be"):
        _reader.Reader(exported[1]).predict(X)


def test_a_damaged_folder_is_refused(
    exported: tuple[SiameseClassifier, Path], quick: None, tmp_path: Path
) -> None:
    exported[0].export(tmp_path)
    arrays = next(tmp_path.glob("arrays-*"))
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match="damaged"):
        _reader.Reader(tmp_path)


# -- the folder -----------------------------------------------------------------------------------


def test_a_folder_that_is_not_ours_is_left_alone(
    exported: tuple[SiameseClassifier, Path], tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "serving.json").write_text('{"files": {}}')
    with pytest.raises(InvalidParameterError, match=r"serving\.json"):
        exported[0].export(tmp_path)
    with pytest.raises(InvalidParameterError, match="is a file"):
        exported[0].export(tmp_path / "thesis.tex")
    assert sorted(os.listdir(tmp_path)) == ["serving.json", "thesis.tex"]


def test_another_export_takes_the_place_as_a_whole(
    exported: tuple[SiameseClassifier, Path],
    quick: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clf = exported[0]
    clf.export(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = sorted(os.listdir(tmp_path))
    own = _exporting.write_whole

    def full(path: Path, *rest: Any) -> None:
        if path.name == "serving.json":
            raise OSError(28, "No space left on device")
        own(path, *rest)

    other = fitted()
    other.backbone_ = clf.backbone_
    with monkeypatch.context() as patch:
        patch.setattr(_exporting, "write_whole", full)
        with pytest.raises(ModelNotWrittenError):
            other.export(tmp_path)
    assert (_reader.Reader(tmp_path).classes == clf.classes_).all()  # the old one, whole
    other.export(tmp_path)
    assert _reader.Reader(tmp_path).facts["threshold"] is None
    other.export(tmp_path)
    assert len(os.listdir(tmp_path)) <= len(before) + 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


# -- what cannot be exported ----------------------------------------------------------------------


class Wavering(nn.Module):
    """Gives other numbers at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.dense = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        found: torch.Tensor = self.dense(x.flatten(1)) + self.calls
        return found


class Halved(CosineHead):
    """Compares otherwise than the head it derives from."""

    def cross(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return super().cross(a, b) / 2

    def aligned(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return super().aligned(a, b) / 2


def test_a_network_that_wavers_is_refused(tmp_path: Path) -> None:
    clf = fitted()
    with drawing_from(0):
        clf.backbone_ = Wavering().eval()
    with pytest.raises(InvalidParameterError, match="backbone Wavering"):
        clf.export(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("affine", [False, True])
def test_where_torch_fails_at_batch_normalisation_an_affine_map_is_written(
    monkeypatch: pytest.MonkeyPatch, affine: bool
) -> None:
    def failing(module: nn.Module, *rest: Any) -> bytes:
        if any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
            raise ValueError("as torch 2.6 does beside the newest onnxscript")
        return convert(module, *rest)

    convert = _exporting._converted
    monkeypatch.setattr(_exporting, "_converted", failing)
    norm = nn.BatchNorm2d(4, affine=affine)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Flatten())
    with torch.no_grad(), drawing_from(0):
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            if tensor is not None:
                tensor.normal_()
        assert norm.running_var is not None
        norm.running_var.uniform_(0.5, 2)
    data = _exporting.written_backbone(network, (1, 5, 5))
    _exporting.check_backbone(data, network.eval(), (1, 5, 5), torch.device("cpu"))
    assert network[1] is norm


def test_what_torch_cannot_write_is_named_by_its_own_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(module: nn.Module, *_: Any) -> bytes:
        kinds = {type(part).__name__ for part in module.modules()}
        raise ValueError("at first" if "BatchNorm1d" in kinds else "later")

    monkeypatch.setattr(_exporting, "_converted", failing)
    for network in (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.BatchNorm1d(3)):
        with pytest.raises(InvalidParameterError, match="at first"):
            _exporting.written_backbone(network, (3,))


def test_a_subclass_of_a_known_head_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exporting, "_onnx", lambda *_: b"as ONNX")
    monkeypatch.setattr(_exporting, "_check_close", lambda *_: None)
    monkeypatch.setattr(_exporting, "_run", lambda *_: None)
    assert _exporting._exported_head(CosineHead(), 4) == ("cosine", {}, {})
    assert _exporting._exported_head(Halved(), 4) == (None, {}, {"head": b"as ONNX"})


def test_bfloat16_is_warned_of(quick: None, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="float32"):
        fitted(precision="bfloat16").export(tmp_path / "model")


def test_the_reader_in_the_folder_reads_its_own_folder(
    exported: tuple[SiameseClassifier, Path],
) -> None:
    reader = load_module(exported[1] / "reader.py").Reader()
    assert reader.facts["estimator"] == "SiameseClassifier"
