"""Paths and data sets wherever an estimator takes items."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from siamesekit import Gallery, SiameseClassifier, SiameseEmbedder, SiameseVerifier
from siamesekit.data import ImageReader
from siamesekit.errors import (
    CheckpointMismatchError,
    CorruptDatasetError,
    InvalidDataError,
    InvalidParameterError,
    LeakageError,
    SiamesekitError,
)
from siamesekit.estimators import _baselines
from siamesekit.evaluation import one_shot_validation

Image = pytest.importorskip("PIL.Image")
pd = pytest.importorskip("pandas")

SIDE, CLASSES, EACH = 8, 8, 5
N = CLASSES * EACH


class Pictures(NamedTuple):
    """The same items in memory and on disk."""

    X: np.ndarray
    y: np.ndarray
    paths: np.ndarray
    folder: Path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("pictures")
    bright = rng.integers(0, 256, (CLASSES, SIDE, SIDE)).repeat(EACH, axis=0)
    X = np.clip(bright + rng.normal(0, 30, (N, SIDE, SIDE)), 0, 255).astype(np.uint8)
    paths = np.array([str(folder / f"{k:02}.png") for k in range(N)])
    for path, item in zip(paths, X, strict=True):
        Image.fromarray(item).save(path)
    return Pictures(X, np.repeat([f"c{k}" for k in range(CLASSES)], EACH), paths, folder)


class Items(Dataset[Any]):
    """The pictures, each with its label or alone, and changed."""

    def __init__(
        self,
        pictures: Pictures,
        *,
        labelled: bool = True,
        change: Callable[[np.ndarray], Any] = np.copy,
    ) -> None:
        self.pictures, self.labelled, self.change = pictures, labelled, change

    def __len__(self) -> int:
        return N

    def __getitem__(self, position: int) -> Any:
        item = self.change(self.pictures.X[position])
        return (item, str(self.pictures.y[position])) if self.labelled else item


def new(cls: type[Any] = SiameseClassifier, **given: Any) -> Any:
    return cls(**{"backbone": "mlp", "max_epochs": 2, "random_state": 0, "device": "cpu"} | given)


@pytest.fixture(scope="module")
def fitted(pictures: Pictures) -> SiameseClassifier:
    """Trained on what is in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: SiameseClassifier = new(validation=0.3).fit(pictures.X, pictures.y)
    return model


def same_model(a: Any, b: Any) -> bool:
    one, two = a.backbone_.state_dict(), b.backbone_.state_dict()
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
@pytest.mark.parametrize("form", ["list", "array", "Path", "Series", "Dataset", "workers"])
def test_training_is_that_on_items_in_memory(
    fitted: SiameseClassifier, pictures: Pictures, form: str
) -> None:
    X: Any = {
        "list": pictures.paths.tolist(),
        "array": pictures.paths,
        "Path": np.array([Path(path) for path in pictures.paths], dtype=object),
        "Series": pd.Series(pictures.paths, index=np.arange(N)[::-1]),
        "Dataset": Items(pictures),
        "workers": pictures.paths,
    }[form]
    y = None if form == "Dataset" else pictures.y
    model = new(validation=0.3, n_workers=2 if form == "workers" else 0).fit(X, y)
    assert same_model(model, fitted)
    for name in set(fitted.history_) - {"seconds"}:
        np.testing.assert_array_equal(model.history_[name], fitted.history_[name])
    assert model.calibration_ == fitted.calibration_
    assert model.baselines_ == fitted.baselines_
    assert model.score(X, y) == fitted.score(pictures.X, pictures.y)


@pytest.mark.parametrize("labelled", [True, False])
def test_every_method_takes_them(
    fitted: SiameseClassifier, pictures: Pictures, labelled: bool, tmp_path: Path
) -> None:
    X, y, paths, _ = pictures
    own: Any = Items(pictures) if labelled else paths.tolist()
    labels = None if labelled else y
    clf = new(max_epochs=0).fit(X, y)
    np.testing.assert_array_equal(clf.transform(own), clf.transform(X))
    np.testing.assert_array_equal(clf.similarity(own, paths[:3]), clf.similarity(X, X[:3]))
    np.testing.assert_array_equal(clf.predict(own), clf.predict(X))
    np.testing.assert_array_equal(clf.predict_proba(own), clf.predict_proba(X))
    np.testing.assert_array_equal(clf.identify(own, 2).labels, clf.identify(X, 2).labels)
    np.testing.assert_array_equal(clf.verify(own, y), clf.verify(X, y))
    assert clf.calibrate(own, labels).calibration_ == clf.calibrate(X, y).calibration_
    assert len(clf.enroll(own, labels).gallery_) == 2 * N
    with pytest.raises(LeakageError, match="shares 8 classes"):
        clf.calibration_report(own, labels)
    np.testing.assert_array_equal(clf.explain(paths[0], paths[1]).a, clf.explain(X[0], X[1]).a)
    gallery = Gallery(estimator=clf)
    gallery.enroll(own, y)
    assert gallery.identify(paths[:2], 1).labels.shape == (2, 1)
    embedder = new(SiameseEmbedder, max_epochs=0).fit(own, labels)
    assert embedder.transform(own).shape == (N, embedder.embedding_size_)


def test_ties_are_broken_by_the_item_wherever_it_is(pictures: Pictures) -> None:
    class Blind(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(len(x), 3)

    clf = new(backbone=Blind(), max_epochs=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(pictures.X, pictures.y)
    answers = clf.predict(pictures.X)
    assert len(set(answers.tolist())) > 2
    np.testing.assert_array_equal(clf.predict(pictures.paths), answers)


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
def test_a_verifier_takes_pairs_of_them(pictures: Pictures) -> None:
    X, y, paths, _ = pictures
    rng = np.random.default_rng(0)
    i = np.arange(N).repeat(4)
    j = np.where(np.arange(4 * N) % 2, rng.integers(0, N, 4 * N), i // EACH * EACH)
    i, j = i[i != j], j[i != j]
    same = y[i] == y[j]
    own = new(SiameseVerifier, validation=0.5).fit(X[i], X[j], same)
    model = new(SiameseVerifier, validation=0.5).fit(paths[i], paths[j].tolist(), same)
    assert same_model(own, model)
    assert model.baselines_ == own.baselines_ != {}
    assert model.calibration_ == own.calibration_
    scores = own.decision_function(X[i], X[j])
    np.testing.assert_allclose(model.decision_function(paths[i], paths[j]), scores, rtol=1e-5)
    assert model.score((paths[i], paths[j]), same) == own.score(X[i], X[j], same)
    assert model.calibrate(paths[i], paths[j], same).calibration_source_
    sides = Items(pictures), Items(pictures, labelled=False)
    assert model.decision_function(*sides) == pytest.approx(own.decision_function(X, X), rel=1e-5)
    of_classes = new(SiameseVerifier, max_epochs=1).fit(Items(pictures))
    assert of_classes.score(Items(pictures)) == of_classes.score(X, y)
    with pytest.raises(InvalidDataError, match="both hold numbers, or both paths"):
        model.predict(paths[:2], X[:2])
    with pytest.raises(InvalidDataError, match=r"B must be given.*where A are paths"):
        model.predict(paths)
    with pytest.raises(InvalidDataError, match="as many items"):
        model.predict(paths[:2], paths[:3])


def test_kinds_of_number_are_those_of_items_in_memory(pictures: Pictures) -> None:
    X, y = pictures.X, pictures.y
    changes: list[Callable[[np.ndarray], Any]] = [
        lambda x: torch.from_numpy(x)[None].float() / 255,
        lambda x: x.astype(np.float64) - 100,
        lambda x: x > 128,
        lambda x: (x > 128).astype(np.uint8),
        lambda x: x.astype(np.int64),
        lambda x: np.stack([x] * 3, axis=2),
        lambda x: Image.fromarray(np.stack([x] * 3, axis=2)),
        lambda x: torch.from_numpy(x)[None].half() / 255,
        lambda x: x.reshape(-1)[:9] / 7.0,
    ]
    for change in changes:
        held = np.stack([np.asarray(change(x)) for x in X])
        held = held.astype(np.float32) if held.dtype == np.float16 else held
        backbone = "mlp" if held.ndim > 2 else "auto"  # which has its items standardised
        a = new(max_epochs=0, backbone=backbone).fit(held, y)
        b = new(max_epochs=0, backbone=backbone).fit(Items(pictures, change=change))
        assert a.input_kind_ == b.input_kind_
        assert a.input_shape_ == b.input_shape_
        np.testing.assert_allclose(
            b.transform(Items(pictures, change=change)), a.transform(held), rtol=1e-4, atol=1e-5
        )


def test_other_scales_are_refused_block_by_block(fitted: Any, pictures: Pictures) -> None:
    with pytest.raises(InvalidDataError, match=r"X must hold whole numbers.* got float32 from"):
        fitted.predict(Items(pictures, change=lambda x: x.astype(np.float32) * 2))
    with pytest.raises(InvalidDataError, match="whole numbers from 0 to 255"):
        fitted.predict(Items(pictures, change=lambda x: x.astype(np.int32) - 1000))


def test_dark_ones_are_what_they_would_be_in_memory(fitted: Any, pictures: Pictures) -> None:
    """Whole numbers of nothing but 0 and 1 may be bits or dark bytes, if they stand alone."""
    dark = (pictures.X > 128).astype(np.uint8)
    with pytest.raises(InvalidDataError, match=r"bool\) or bytes up to 255"):
        fitted.predict(dark)

    def streamed(X: np.ndarray) -> Items:
        return Items(pictures._replace(X=X), labelled=False)

    with pytest.raises(InvalidDataError, match=r"bool\) or bytes up to 255"):
        fitted.predict(streamed(dark))
    beside = np.concatenate([dark[:30], pictures.X[30:]])
    for X in (beside, beside.astype(np.float32), dark * 0, dark > 0):
        np.testing.assert_allclose(fitted.transform(streamed(X)), fitted.transform(X), atol=1e-6)
    of_bits = new(max_epochs=0).fit(dark, pictures.y)
    for X in (dark, dark * 255, beside, dark.astype(np.float32)):
        np.testing.assert_allclose(of_bits.transform(streamed(X)), of_bits.transform(X), atol=1e-6)


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
def test_baselines_that_would_take_too_much_memory_are_told_of(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_baselines, "_NUMBERS", N * SIDE**2 // 2)
    with pytest.warns(UserWarning, match=r"baselines_ stays empty.* 2,560 numbers of items that"):
        model = new(validation=0.3, max_epochs=1).fit(pictures.paths, pictures.y)
    assert model.baselines_ == {}
    assert 0 <= model.validation_score_ <= 1
    # What is in memory already takes none.
    assert new(validation=0.3, max_epochs=1).fit(pictures.X, pictures.y).baselines_
    own = one_shot_validation(pictures.X[:10], pictures.y[:10], way=2, random_state=0)
    with pytest.warns(UserWarning, match=r"baselines_ stays empty.* 1,920 numbers"):
        new(validation=own, max_epochs=1).fit(pictures.paths[10:], pictures.y[10:])


def test_scikit_learn_slices_paths(pictures: Pictures) -> None:
    paths, y = pictures.paths.tolist(), pictures.y
    own = cross_val_score(new(), pictures.X, y, cv=2)
    np.testing.assert_array_equal(cross_val_score(new(), paths, y, cv=2), own)
    search = GridSearchCV(new(reader=ImageReader()), {"reader__size": [4, 6]}, cv=2)
    assert search.fit(pictures.paths, y).best_estimator_.input_shape_[1:] in ((4, 4), (6, 6))


def test_a_model_keeps_its_reader(pictures: Pictures, tmp_path: Path) -> None:
    reader = ImageReader(size=6, mode="RGB", invert=True)
    model = new(max_epochs=0, reader=reader, n_workers=0).fit(pictures.paths, pictures.y)
    assert model.input_shape_ == (3, 6, 6)
    model.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model")
    assert (loaded.reader.get_params(), loaded.n_workers) == (reader.get_params(), 0)
    np.testing.assert_array_equal(loaded.transform(pictures.paths), model.transform(pictures.paths))
    with pytest.raises(InvalidDataError, match=r"\(3, 6, 6\).*got \(1, 8, 8\).*read by reader="):
        loaded.set_params(reader="image").predict(pictures.paths)


def test_a_reader_that_has_no_name_is_asked_for_again(pictures: Pictures, tmp_path: Path) -> None:
    def read(path: str) -> np.ndarray:
        return 255 - np.asarray(Image.open(path))

    model = new(max_epochs=0, reader=read).fit(pictures.paths, pictures.y)
    model.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="reader="):
        loaded = SiameseClassifier.load(tmp_path / "model")
    with pytest.raises(InvalidParameterError, match="reader must be given where X holds paths"):
        loaded.predict(pictures.paths)
    loaded = SiameseClassifier.load(tmp_path / "model", reader=read)
    assert (loaded.predict(pictures.paths) == model.predict(pictures.paths)).all()


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
def test_a_checkpoint_knows_its_files_by_their_pixels(pictures: Pictures, tmp_path: Path) -> None:
    model = new(checkpoint=tmp_path / "run.ckpt").fit(pictures.paths, pictures.y)
    copied = []
    for path in pictures.paths:
        copied.append(tmp_path / Path(path).name)
        copied[-1].write_bytes(Path(path).read_bytes())
    again = new(checkpoint=tmp_path / "run.ckpt").fit(copied, pictures.y)
    assert same_model(again, model)
    assert again.history_["seconds"] == model.history_["seconds"]
    Image.fromarray(255 - pictures.X[3]).save(copied[3])
    with pytest.raises(CheckpointMismatchError, match="data"):
        new(checkpoint=tmp_path / "run.ckpt").fit(copied, pictures.y)


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
def test_a_validation_may_hold_them(pictures: Pictures) -> None:
    own = one_shot_validation(pictures.X, pictures.y, way=3, n_episodes=20, random_state=0)
    read = one_shot_validation(
        pictures.paths, pictures.y, way=3, n_episodes=20, random_state=0, reader=ImageReader()
    )
    assert len(read.items) == N
    a, b = (
        new(validation=v, max_epochs=1).fit(pictures.paths, pictures.y).history_["validation"]
        for v in (own, read)
    )
    assert a == b


def _spoilt(pictures: Pictures, tmp_path: Path, image: Any, name: str, **how: Any) -> list[str]:
    paths: list[str] = pictures.paths.tolist()
    paths[7] = str(tmp_path / name)
    if isinstance(image, bytes):
        Path(paths[7]).write_bytes(image)
    else:
        image.save(paths[7], **how)
    return paths


def test_what_cannot_be_read_is_named_before_training(
    fitted: SiameseClassifier, pictures: Pictures, tmp_path: Path
) -> None:
    grey = Image.fromarray(pictures.X[0])
    cut = Path(pictures.paths[0]).read_bytes()[:-30]
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - pictures.X[0])]}
    for image, name, how, message in (
        (cut, "cut.png", {}, "cut.png is no whole picture"),
        (b"", "empty.png", {}, "empty.png is no whole picture"),
        (b"hello", "text.jpg", {}, "text.jpg is no whole picture"),
        (grey, "a.gif", {}, "a.gif is no whole picture"),
        (grey, "moving.png", frames, "moving.png must hold one picture"),
        (Image.new("1", (40_000, 2)), "bomb.png", {}, "bomb.png must have 4,096 pixels"),
        (Image.new("L", (5, 9)), "other.png", {}, r"shape of X\[0\].*size=\.\.\.\) makes"),
    ):
        paths = _spoilt(pictures, tmp_path, image, name, **how)
        model = new()
        for ask in (lambda m, p=paths: m.fit(p, pictures.y), lambda m, p=paths: fitted.predict(p)):
            with pytest.raises((CorruptDatasetError, InvalidDataError), match=message):
                ask(model)
        assert not hasattr(model, "backbone_")


def test_bad_paths_are_named_at_the_door(
    fitted: SiameseClassifier, pictures: Pictures, tmp_path: Path
) -> None:
    good = pictures.paths.tolist()
    bad: list[tuple[Any, str]] = [
        (["absent.png"], r"there is no file where X\[0\] is 'absent.png'"),
        ([*good, "x", "y", "z", "w"], r"no file where X\[40\] is 'x'.* and 1 more"),
        (["ann", "bob"], r"numbers, or paths of files; there is no file where X\[0\] is 'ann'"),
        ([str(tmp_path)], "A folder is no file"),
        (good[0], r"must be a list of paths; got one: .*\[X\] makes a list"),
        (Path(good[0]), "must be a list of paths"),
        (tmp_path, r"load_image_folder\(root, as_paths=True\)"),
        ([good[0].encode()], r"X\[0\] is b.*os\.fsdecode"),
        (np.array(good).astype(bytes), r"X\[0\] is b"),
        ([good[0], 5], r"X\[1\] is 5"),
        ([5, good[0]], r"X\[0\] is 5"),
        ([good[0], None], r"X\[1\] is None"),
        ([good[0], ""], r"X\[1\] is ''"),
        ([good[0], "a\0b"], r"X\[1\] is"),
        (np.array([], dtype=str), "at least one item; got no path"),
        ([], "X must have shape"),
        (np.array([good]), "X must hold"),
        (pd.DataFrame({"path": good}), "X must hold|could not convert|dtype"),
    ]
    for X, message in bad:
        with pytest.raises(InvalidDataError, match=message):
            fitted.predict(X)
        with pytest.raises(InvalidDataError, match=message):
            new().fit(X, pictures.y)
    for reader, message in (
        (5, "reader must be a name"),
        ("imag", "Did you mean 'image'"),
        (None, "reader must be given where X holds paths"),
    ):
        with pytest.raises(SiamesekitError, match=message):
            new(reader=reader).fit(good, pictures.y)
    for n_workers in (-1, 1.5, "2", True, 2000):
        with pytest.raises(InvalidParameterError, match="n_workers must be an integer in"):
            new(n_workers=n_workers).fit(good, pictures.y)


def test_bad_data_sets_are_named_at_the_door(fitted: Any, pictures: Pictures) -> None:
    y = pictures.y.copy()
    y[3] = "c1"
    for ask in (new().fit, fitted.enroll, fitted.score, fitted.calibrate):
        with pytest.raises(InvalidDataError, match=r"y\[3\] is .*'c1'.*X\[3\] comes with .*'c0'"):
            ask(Items(pictures), y)
    with pytest.raises(InvalidDataError, match="the target y is None"):
        new().fit(Items(pictures, labelled=False))
    with pytest.raises(InvalidDataError, match="40 items were given 39"):
        new().fit(Items(pictures), pictures.y[1:])
    with pytest.raises(InvalidDataError, match="at least 2 classes"):
        new().fit(TensorDataset(torch.zeros(4, 1, 8, 8), torch.zeros(4)))
    with pytest.raises(InvalidDataError, match="must hold class labels"):
        new().fit(TensorDataset(torch.rand(4, 1, 8, 8), torch.rand(4)))
    before = len(fitted.gallery_)
    with pytest.raises(InvalidDataError, match=r"X\[0\] is <PIL|palette"):
        fitted.enroll(Items(pictures, change=lambda x: Image.fromarray(x).convert("P")))
    assert len(fitted.gallery_) == before


def test_an_unknown_label_is_not_among_the_labels_of_a_data_set(pictures: Pictures) -> None:
    with pytest.raises(InvalidParameterError, match="which y holds"):
        new(unknown_label="c1").fit(Items(pictures))
