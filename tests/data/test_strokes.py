"""Drawings redrawn with a thin pen."""

import numpy as np
import pytest

from siamesekit.data import redraw
from siamesekit.errors import InvalidDataError, InvalidParameterError


def bar(width: int, side: int = 105) -> np.ndarray:
    image = np.zeros((side, side), np.uint8)
    middle = side // 2
    image[20:85, middle - width // 2 : middle - width // 2 + width] = 255
    return image


def test_strokes_of_any_width_come_out_alike() -> None:
    thick, thin = redraw(np.stack([bar(21), bar(3)]), side=105)
    assert thick[40:65].max(axis=1).min() == 255
    assert set((thick[40:65] > 0).sum(axis=1)) == set((thin[40:65] > 0).sum(axis=1)) == {3}
    assert abs(int(np.argmax(thick[50])) - int(np.argmax(thin[50]))) <= 1


def test_the_pen_has_the_width_that_is_asked_for() -> None:
    for pen in (1, 3, 5):
        drawn = redraw(bar(15)[None], side=105, pen=pen)[0]
        assert set((drawn[40:65] > 0).sum(axis=1)) == {pen}


def test_a_ring_stays_a_ring_and_paper_stays_paper() -> None:
    rows, columns = np.mgrid[-52:53, -52:53]
    radius = np.hypot(rows, columns)
    ring = np.where((radius > 20) & (radius < 40), 255, 0).astype(np.uint8)
    drawn, paper = redraw(np.stack([ring, np.zeros_like(ring)]), side=105)
    assert not paper.any()
    assert drawn[52, 52] == 0
    angles = np.linspace(0, 2 * np.pi, 60)
    for angle in angles:
        line = [(52 + round(r * np.sin(angle)), 52 + round(r * np.cos(angle))) for r in range(52)]
        assert max(drawn[place] for place in line) == 255


def test_blocks_do_not_matter_and_sides_do_as_asked() -> None:
    images = np.stack([bar(width, 105) for width in range(3, 13)] * 7)
    many = redraw(images)
    assert many.shape == (70, 28, 28)
    assert (many[:10] == redraw(images[:10])).all()
    assert (many[60:] == many[:10]).all()


def test_what_is_no_drawing_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="uint8"):
        redraw(np.zeros((2, 8, 8)))
    with pytest.raises(InvalidDataError, match="side, side"):
        redraw(np.zeros((2, 8, 9), np.uint8))
    with pytest.raises(InvalidParameterError, match="threshold"):
        redraw(np.zeros((2, 8, 8), np.uint8), threshold=1.0)
