"""Class labels are never rounded, merged or guessed."""

import numpy as np
import pytest
import torch

from siamesekit._labels import as_classes, as_labels, join_labels, label_kind
from siamesekit.errors import InvalidDataError


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2], "int64", [1, 2]),
        ([2**63, 1], "uint64", [2**63, 1]),
        ([2**63, -1], object, [2**63, -1]),
        ([2**90 + 1, 2**90 + 2], object, [2**90 + 1, 2**90 + 2]),
        ([1, 2.5], "float64", [1.0, 2.5]),
        ([True, np.False_], bool, [True, False]),
        (["a", "bb"], "<U2", ["a", "bb"]),
        (np.array(["a", "bb"], dtype=object), object, ["a", "bb"]),
        (np.array([1, 2], dtype=object), "int64", [1, 2]),
        (np.array([1, 2], dtype=">i4"), ">i4", [1, 2]),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), "float64", [1.0, 2.0]),
        ([torch.tensor(3), np.array(4)], "int64", [3, 4]),
        (np.ma.array([1, 2], mask=[False, False]), "int64", [1, 2]),
        (range(3), "int64", [0, 1, 2]),
    ],
    ids=str,
)
def test_labels_keep_their_values(values: object, dtype: object, expected: list[object]) -> None:
    labels = as_labels(values)  # type: ignore[arg-type]
    assert labels.dtype == np.dtype(dtype)  # type: ignore[call-overload]
    assert labels.tolist() == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "got None"),
        ([1, "a"], "of one kind; got 1 and 'a'"),
        ([True, 2], "of one kind; got True and 2"),
        (["a", None], "of one kind; got 'a' and None"),
        ([None, None], "got None"),
        ([1.0, float("nan")], "NaN, which equals no label, as at position 1"),
        ([1, float("nan")], "NaN, which equals no label, as at position 1"),
        ([np.inf, 1.0], "infinity as at position 0"),
        ([2**60, 0.5], "beside floats, which would round it"),
        ([[1], [2]], r"shape \(n,\)"),
        ([[1], [2, 3]], r"shape \(n,\)"),
        (np.zeros((3, 1)), r"shape \(n,\)"),
        (np.ma.array([1, 2], mask=[False, True]), "position 1 is masked"),
        (np.array(["2020-01-01", "NaT"], dtype="M8[D]"), "got dates"),
        ([b"a", b"b"], "got b'a'"),
        (np.array([b"a", b"b"]), "got bytes"),
        ([1j, 2j], "of one kind; got 1j"),
        (np.array([1j]), "got complex numbers"),
        ([(1, 2), (1, 3)], r"shape \(n,\)"),
        ({1, 2}, r"shape \(n,\)"),
    ],
    ids=str,
)
def test_what_is_no_label_is_named(values: object, message: str) -> None:
    with pytest.raises(InvalidDataError, match=f"^y .*{message}"):
        as_labels(values)  # type: ignore[arg-type]


def test_there_is_one_label_an_item() -> None:
    with pytest.raises(InvalidDataError, match=r"groups must hold .* 3 items were given 2"):
        as_labels([0, 1], "groups", 3)


@pytest.mark.parametrize("values", [5, "abc", np.int64(5), True, torch.tensor(5), [5], {5}])
def test_one_class_or_several(values: object) -> None:
    assert as_classes(values).shape == (1,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "new", "dtype"),
    [
        (np.array([2**60 + 1, 2**60 + 2]), np.array([7], dtype=np.uint64), "int64"),
        (np.array([7], dtype=np.uint64), np.array([-1]), "int64"),
        (np.array([2**63 + 1], dtype=np.uint64), np.array([5]), "uint64"),
        (np.array([2**63 + 1], dtype=np.uint64), np.array([-5]), object),
        (np.array([1], dtype=np.uint8), np.array([300]), "int64"),
        (np.array([1, 2]), np.array([3.0]), "int64"),
        (np.array([1.0, 2.0]), np.array([3]), "float64"),
        (np.array([0.5], dtype=np.float32), np.array([0.1]), "float64"),
        (np.array([1, 2]), np.array([2**80], dtype=object), object),
        (np.array([2**80], dtype=object), np.array([3.0]), object),
        (np.array(["a"]), np.array(["bbb"]), "<U3"),
        (np.array(["a"], dtype=object), np.array(["bbb"]), object),
    ],
    ids=str,
)
def test_joined_labels_stay_what_they_were(
    known: np.ndarray, new: np.ndarray, dtype: object
) -> None:
    joined = join_labels(known, new)
    assert joined.dtype == np.dtype(dtype)  # type: ignore[call-overload]
    assert joined.tolist() == known.tolist() + new.tolist()
    assert len(set(joined.tolist())) == len(known) + len(new)
    assert label_kind(joined) == label_kind(known)


@pytest.mark.parametrize(
    ("known", "new", "message"),
    [
        (np.array([0, 1]), np.array([True]), "must hold numbers, .* got booleans"),
        (np.array([True]), np.array([1]), "must hold booleans, .* got numbers"),
        (np.array([0, 1]), np.array(["1"]), "must hold numbers, .* got strings"),
        (np.array(["a"], dtype=object), np.array([2**80], dtype=object), "must hold strings"),
        (np.array([0, 1]), np.array([2.5]), "must hold integers, .* got .*2.5"),
        (np.array([10**17]), np.array([1e17]), "must hold integers"),
        (np.array([1.0]), np.array([2**53 + 1]), "must hold floats"),
    ],
    ids=str,
)
def test_labels_that_would_change_are_not_joined(
    known: np.ndarray, new: np.ndarray, message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message):
        join_labels(known, new)
