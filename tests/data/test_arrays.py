"""What users give as items becomes one tensor, or is refused by name."""

import numpy as np
import pytest
import torch

from siamesekit.data import as_items
from siamesekit.data.arrays import raw_items
from siamesekit.errors import InvalidDataError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 9, 8), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (5, 9, 8, 3), dtype=np.uint8)


class Picture:
    """As Pillow's: no array, but it can be seen as one."""

    def __init__(self, pixels: np.ndarray, mode: str = "L") -> None:
        self.pixels, self.mode = pixels, mode

    def __repr__(self) -> str:
        return f"Picture({self.mode})"

    @property
    def __array_interface__(self) -> dict[str, object]:
        return self.pixels.__array_interface__  # type: ignore[return-value]


@pytest.mark.parametrize(
    "given",
    [
        IMAGES,
        list(IMAGES),
        tuple(IMAGES),
        [torch.from_numpy(image) for image in IMAGES],
        [Picture(image) for image in IMAGES],
        torch.from_numpy(IMAGES),
        IMAGES[::-1][::-1],
        np.asfortranarray(IMAGES),
        np.ma.array(IMAGES),
        IMAGES[..., None],
        IMAGES[:, None],
    ],
    ids=[
        "array", "list", "tuple", "tensors", "pictures", "tensor", "strides", "fortran",
        "nothing masked", "channel last", "channel first",
    ],
)  # fmt: skip
def test_images_in_many_forms_are_the_same(given: object) -> None:
    items = as_items(given)  # type: ignore[arg-type]
    assert items.dtype == torch.uint8
    assert torch.equal(items, torch.from_numpy(IMAGES)[:, None])


@pytest.mark.parametrize(
    "dtype", [">f4", "<f8", "f2", "i2", ">i4", "i8", "u2", ">u4", "u8", "g", object]
)
def test_numbers_of_any_type_become_float32(dtype: object) -> None:
    items = as_items(IMAGES.astype(dtype))
    assert items.dtype == torch.float32
    assert torch.equal(items, torch.from_numpy(IMAGES)[:, None].float())


def test_bfloat16_in_a_list() -> None:
    tensors = [torch.ones(3, dtype=torch.bfloat16)] * 2
    assert torch.equal(as_items(tensors), torch.ones(2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 9, 8, 3), (5, 3, 9, 8)),
        ((5, 9, 8, 1), (5, 1, 9, 8)),
        ((5, 9, 8, 4), (5, 4, 9, 8)),
        ((5, 3, 9, 8), (5, 3, 9, 8)),
        ((5, 1, 9, 3), (5, 1, 9, 3)),
        ((5, 64, 4, 4), (5, 64, 4, 4)),
        ((5, 64, 1, 1), (5, 64, 1, 1)),
        ((5, 2, 9, 8), (5, 2, 9, 8)),
        ((5, 16, 9, 8), (5, 16, 9, 8)),
    ],
)
def test_channels_come_last_only_where_that_is_plain(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert as_items(np.zeros(shape)).shape == expected


def test_channels_last_are_moved_not_reshaped() -> None:
    assert torch.equal(as_items(COLOUR), torch.from_numpy(COLOUR.transpose(0, 3, 1, 2)))


def test_what_was_trained_on_decides() -> None:
    assert raw_items(np.zeros((5, 3, 3, 9)), expected=(9, 3, 3)).shape == (5, 9, 3, 3)
    assert raw_items(np.zeros((5, 3, 3, 9)), expected=(3, 3, 9)).shape == (5, 3, 3, 9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "must have shape"),
        (3.0, "must have shape"),
        ("abc", "must hold numbers"),
        ([1, 2, 3], r"X\[None\] makes a batch of one"),
        (np.zeros((3, 2, 1, 8, 8)), r"similarity\(X\[:, 0\], X\[:, 1\]\)"),
        (np.zeros((2, 4, 4, 3)), r"transpose\(0, 3, 1, 2\)"),
        (np.zeros((2, 0)), "at least one item"),
        ([np.zeros((8, 8)), np.zeros((8, 9))], r"X\[0\] has \(8, 8\) and X\[1\] has \(8, 9\)"),
        ([IMAGES[0], IMAGES[1] / 255], r"X\[0\] is of uint8 and X\[1\] of float64"),
        ([[1, 2], [3]], r"X\[0\] has \(2,\) and X\[1\] has \(1,\)"),
        ([[1, 2], [3, [4]]], r"X\[1\] must hold numbers in one regular array"),
        ([Picture(IMAGES[0], "P")], "palette"),
        ([["1", "2"], ["3", "4"]], "must hold numbers; got an array of type <U1"),
        (np.array([["1", "2"]], dtype=object), "got the text '1' in item 0"),
        (np.array([[1.0], ["nan"]], dtype=object), "got the text 'nan' in item 1"),
        (np.array([[1.0], [None]], dtype=object), "contains NaN, .* in item 1"),
        (np.array([[1j]]), "must be real"),
        (np.array([[1j]], dtype=object), "must be real"),
        (torch.zeros(2, 2, dtype=torch.complex64), "must be real"),
        (np.zeros((2, 2), dtype="M8[s]"), "must hold numbers; got an array of type datetime64"),
        (np.zeros((2, 2), dtype=[("a", "f4")]), "must hold numbers"),
        (np.ma.array([[1, 2], [3, 4]], mask=[[0, 0], [0, 1]]), "in item 1 one is masked"),
        ([np.ma.array([1, 2], mask=[0, 1])], r"X\[0\] must hold a number everywhere"),
        (torch.eye(3).to_sparse(), "dense tensor; got one of layout torch.sparse_coo"),
        (torch.zeros(2, 2, device="meta"), "dense tensor"),
        (np.array([[1.0], [np.nan]]), "contains NaN, .* in item 1"),
        (np.array([[1.0], [1e39]]), "too large for float32, in item 1"),
        (np.array([[1], [10**400]], dtype=object), "too large|contains NaN"),
    ],
    ids=str,
)
def test_what_is_no_array_of_items_is_named(given: object, message: str) -> None:
    with pytest.raises(InvalidDataError, match=f"^X.*{message}|^{message}"):
        as_items(given)  # type: ignore[arg-type]
