"""The same pixels are the same image, in whatever numbers they come."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from siamesekit import SiameseClassifier
from siamesekit.data.arrays import raw_items
from siamesekit.errors import InvalidDataError
from siamesekit.estimators._input_kind import InputKind
from siamesekit.training.items import as_float

DIGITS, Y = load_digits(return_X_y=True)
BYTES = (DIGITS[:60].reshape(-1, 8, 8) * 15.9).astype(np.uint8)
Y = Y[:60]

AS_BYTES = {
    "uint8": lambda X: X,
    "int64": lambda X: X.astype(np.int64),
    "int16": lambda X: X.astype(np.int16),
    "uint16": lambda X: X.astype(np.uint16),
    "torch int32": lambda X: torch.from_numpy(X).int(),
    "whole floats": lambda X: X.astype(np.float32),
    "nested list": lambda X: X.tolist(),
    "list of arrays": list,
    "objects": lambda X: X.astype(object),
    "floats in [0, 1]": lambda X: X / np.float32(255),
}


def small(**parameters: Any) -> SiameseClassifier:
    return SiameseClassifier("mlp", augment=None, max_epochs=1, random_state=0, **parameters)


@pytest.fixture(scope="module")
def trained_on_bytes() -> SiameseClassifier:
    return small().fit(BYTES, Y)


@pytest.mark.parametrize("form", AS_BYTES)
def test_bytes_in_any_form_are_the_same_image(
    form: str, trained_on_bytes: SiameseClassifier
) -> None:
    expected = trained_on_bytes.transform(BYTES)
    np.testing.assert_allclose(
        trained_on_bytes.transform(AS_BYTES[form](BYTES)), expected, atol=1e-5
    )


@pytest.mark.parametrize("form", ["int64", "nested list", "list of arrays", "objects", "uint16"])
def test_integers_in_training_are_bytes_too(form: str, trained_on_bytes: SiameseClassifier) -> None:
    other = small().fit(AS_BYTES[form](BYTES), Y)
    assert other.input_kind_ == trained_on_bytes.input_kind_
    np.testing.assert_array_equal(other.transform(BYTES), trained_on_bytes.transform(BYTES))


def test_trained_on_floats_in_the_unit_interval_asked_in_bytes() -> None:
    clf = small().fit(BYTES / 255, Y)
    for form in ("uint8", "int64", "whole floats"):
        np.testing.assert_allclose(
            clf.transform(AS_BYTES[form](BYTES)), clf.transform(BYTES / 255), atol=1e-4
        )


def test_trained_on_floats_up_to_255_asked_in_bytes() -> None:
    clf = small().fit(BYTES.astype(float), Y)
    assert clf.input_kind_.name == "levels"
    with pytest.raises(InvalidDataError, match="whole numbers on the scale of 0 to 25"):
        clf.predict(BYTES / 255)
    np.testing.assert_array_equal(clf.transform(BYTES), clf.transform(BYTES.astype(float)))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, object])
def test_bits_are_bits_in_any_type(dtype: type) -> None:
    X = np.random.default_rng(0).integers(0, 2, (12, 4, 4))
    items = raw_items(X.astype(dtype))
    assert InputKind.of(items).name == "bool"
    kind = InputKind("bool", 0, 1)
    taken = as_float(kind.take(items))
    assert torch.equal(taken, torch.from_numpy(X)[:, None].float())
    assert torch.equal(as_float(kind.take(torch.from_numpy(X * 255)[:, None])), taken)


def test_vectors_are_the_numbers_they_are() -> None:
    X = DIGITS[:60]
    asked = [X.astype(np.uint8), X.astype(np.int64), X.tolist(), torch.from_numpy(X)]
    for backbone in ("mlp", torch.nn.Linear(64, 8)):
        for dtype in (np.float32, np.uint8, np.int64):
            clf = SiameseClassifier(backbone, max_epochs=1, random_state=0).fit(X.astype(dtype), Y)
            expected = clf.transform(X.astype(dtype))
            for given in asked:
                np.testing.assert_array_equal(clf.transform(given), expected)


@pytest.mark.parametrize(
    ("kind", "X", "message"),
    [
        (("bytes", 0, 255), np.full((1, 1, 4, 4), 0.5) * 300.3, "got float64 from 150.2 to 150.2"),
        (("bytes", 0, 255), np.full((1, 1, 4, 4), -1), "whole numbers from 0 to 255"),
        (("bytes", 0, 255), np.full((1, 1, 4, 4), 256), "whole numbers from 0 to 255"),
        (("bytes", 0, 255), np.eye(4, dtype=int)[None, None], r"bool\) or bytes up to 255"),
        (("bytes", 0, 255), np.eye(4, dtype=np.uint8)[None, None], r"bool\) or bytes up to 255"),
        (("unit", 0, 1), np.full((1, 1, 4, 4), 127.5), r"floats in \[0, 1\] or bytes"),
        (("unit", 0, 1), np.full((1, 1, 4, 4), 300), r"floats in \[0, 1\] or bytes"),
        (("unit", 0, 1), np.eye(4, dtype=int)[None, None], r"bool\) or bytes up to 255"),
        (("bool", 0, 1), np.full((1, 1, 4, 4), 1.5), "0 and 1"),
        (("numbers", -1, 1), np.full((1, 1, 4, 4), 200, np.uint8), "scale of -1 to 1"),
        (("numbers", -1, 1), np.full((1, 1, 4, 4), 127.5), "scale of -1 to 1"),
        (("numbers", -1, 1), np.eye(4, dtype=bool)[None, None], "scale of -1 to 1"),
        (("numbers", 0, 255), np.full((1, 1, 4, 4), 60000), "scale of 0 to 255"),
        (("bytes", 0, 255), np.array([[0.5, 0.25]]), "whole numbers from 0 to 255"),
        (("bytes", 0, 255), np.array([[300, 2]]), "whole numbers from 0 to 255"),
        (("unit", 0, 1), np.array([[255, 2]]), r"floats in \[0, 1\]"),
        (("unit", 0, 1), np.array([[255.0, 2.0]]), r"floats in \[0, 1\]"),
        (("levels", 0, 255), np.array([[0.5, 0.25]]), "whole numbers on the scale of 0 to 255"),
        (("levels", 0, 65535), np.full((1, 1, 4, 4), 0.5) * np.eye(4), "scale of 0 to 6.55"),
        (("levels", 0, 255), np.eye(4)[None, None], "whole numbers on the scale of 0 to 255"),
    ],
    ids=str,
)  # fmt: skip
def test_other_scales_are_refused(kind: tuple[str, int, int], X: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidDataError, match=f"X must hold .*{message}"):
        InputKind(*kind).take(torch.from_numpy(X))


# Images that a block may hold alone, or beside others that say more: whole, dark, and in between.
SOME = [np.zeros((2, 2)), np.eye(2), np.full((2, 2), 1.0), np.eye(2) * 2, np.eye(2) * 200]
SOME += [np.full((2, 2), 0.5), np.full((2, 2), -0.5), np.full((2, 2), 1.5), np.full((2, 2), 300)]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("ndim", [2, 4])
def test_blocks_are_taken_as_all_of_them_are(dtype: type, ndim: int) -> None:
    def outcome(take: Callable[[], Tensor]) -> Tensor | None:
        try:
            return take()
        except InvalidDataError:
            return None

    kinds = [InputKind(name, 0, 255) for name in ("bool", "bytes", "unit", "levels")]
    kinds += [InputKind("numbers", -1, 1), InputKind("levels", 0, 40)]
    refused = taken = 0
    for some in itertools.combinations_with_replacement(SOME, 3):
        X = np.stack(some)
        if not np.array_equal(X, X.astype(dtype)):
            continue
        items = torch.from_numpy(X.astype(dtype)).reshape((3, 1, 2, 2) if ndim == 4 else (3, 4))
        least = 0.0 if dtype is bool else float(items.min())
        facts = least, float(items.max()), bool((items == items.float().floor()).all())
        for kind in kinds:

            def in_blocks(kind: InputKind = kind, items: Tensor = items, facts: Any = facts) -> Any:
                blocks = [kind.take_block(block, lambda: facts) for block in items.split(1)]
                return torch.cat([as_float(block) for block in blocks])

            wanted = outcome(lambda kind=kind, items=items: as_float(kind.take(items)))  # type: ignore[misc]
            found = outcome(in_blocks)
            assert (found is None) == (wanted is None), (kind, X)
            if wanted is not None:
                assert torch.equal(found, wanted), (kind, X)  # type: ignore[arg-type]
            refused, taken = refused + (wanted is None), taken + (wanted is not None)
    assert refused > 5 or dtype is bool
    assert taken > 5


def test_noise_beyond_the_unit_interval_and_black_images_pass() -> None:
    InputKind("unit", 0, 1).take(torch.full((1, 1, 4, 4), 1.2))
    for name in ("unit", "bytes", "bool"):
        InputKind(name, 0, 1).take(torch.zeros(1, 1, 4, 4, dtype=torch.uint8))


def test_the_kind_is_saved(trained_on_bytes: SiameseClassifier, tmp_path: Any) -> None:
    trained_on_bytes.save(tmp_path / "m")
    loaded = SiameseClassifier.load(tmp_path / "m")
    assert loaded.input_kind_ == trained_on_bytes.input_kind_
    np.testing.assert_array_equal(
        loaded.transform(BYTES.tolist()), trained_on_bytes.transform(BYTES)
    )


def test_enrolled_in_one_form_and_asked_in_another() -> None:
    clf = SiameseClassifier.from_pretrained("omniglot", device="cpu")
    # Of its own size: what is not, its reader reads, to which uint16 is of sixteen bits.
    strokes = np.zeros((2, 56, 56), np.uint8)
    strokes[0, 8:48, 26:30] = strokes[1, 26:30, 8:48] = 255
    clf.enroll(strokes.astype(np.int64), ["one", "dash"])
    for form in (*AS_BYTES.values(), lambda X: X > 127):
        assert clf.predict(form(strokes)).tolist() == ["one", "dash"]


def test_pairs_are_told_how_to_verify() -> None:
    X = np.random.default_rng(0).random((8, 2, 6, 6))
    for y in ([0, 1] * 4, [-1, 1] * 4, [False, True] * 4):
        with pytest.raises(InvalidDataError, match=r"looks like pairs.*similarity\(A, B\)"):
            small().fit(X, y)
    small().fit(X, ["left", "right"] * 4)


def test_channels_last_are_the_same_in_training_and_use() -> None:
    X = np.random.default_rng(0).random((8, 6, 7, 3))
    clf = small().fit(X, [0, 1] * 4)
    assert clf.input_shape_ == (3, 6, 7)
    np.testing.assert_array_equal(clf.transform(X), clf.transform(X.transpose(0, 3, 1, 2)))
