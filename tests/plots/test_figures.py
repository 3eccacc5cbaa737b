"""Pictures of figures draw the figures: the lines are read back and compared."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from siamesekit import evaluation as ev
from siamesekit import plots
from siamesekit.errors import InvalidDataError, InvalidParameterError

pytest.importorskip("matplotlib")


def pairs(seed: int = 0) -> tuple[Any, Any, tuple[Any, Any]]:
    rng = np.random.default_rng(seed)
    who = np.repeat([f"person {k}" for k in range(10)], 3)
    i, j = np.triu_indices(len(who), 1)
    same = who[i] == who[j]
    return np.round(rng.normal(same * 1.5), 1), same, (who[i], who[j])


def searches(seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    classes, probes = np.arange(6), np.repeat(np.arange(10), 3)
    scores = rng.normal(size=(30, 6)) + 2.0 * (probes[:, None] == classes)
    return np.round(scores, 1).astype(np.float32), classes, probes


SCORES, SAME, IDENTITIES = pairs()
KNOWN = searches()[2] < 6
Drawer = Callable[..., Any]


def drawn(axes: Any, place: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a curve, and check its band if there is one."""
    curves = [line for line in axes.get_lines() if line.get_gid()]
    x, y = curves[place].get_data()
    return np.asarray(x), np.asarray(y)


def band(axes: Any) -> np.ndarray:
    return np.asarray(axes.collections[0].get_paths()[0].vertices)


@pytest.mark.parametrize(
    ("draw", "curve"), [(plots.plot_roc, ev.roc_curve), (plots.plot_det, ev.det_curve)]
)
def test_curves_of_verification_are_the_rates(draw: Drawer, curve: Drawer, tmp_path: Path) -> None:
    figure = draw(SCORES, SAME, tmp_path / "c.png", identities=IDENTITIES, n_resamples=100)
    (axes,) = figure.axes
    expected = curve(SCORES, SAME, identities=IDENTITIES, n_resamples=100)
    x, y = drawn(axes)
    np.testing.assert_array_equal(x, expected.x)
    np.testing.assert_array_equal(y, expected.y)
    edges = band(axes)[:, 1]
    assert set(np.concatenate([expected.low, expected.high])) <= set(edges)
    assert "95 % interval by identity" in axes.get_legend().get_texts()[-1].get_text()
    assert "%" in axes.get_xlabel()
    assert "%" in axes.get_ylabel()
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_two_curves_share_axes_and_are_told_apart_in_grey(scale: str, tmp_path: Path) -> None:
    figure = plots.plot_roc(SCORES, SAME, label="_one $x$", scale=scale)
    again = plots.plot_roc(
        -SCORES, SAME, tmp_path / "r.png", label="two", axes=figure.axes[0], scale=scale
    )
    assert again is figure
    curves = [line for line in figure.axes[0].get_lines() if line.get_gid()]
    assert len({line.get_linestyle() for line in curves}) == 2
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(texts) == 2
    assert "_one" in texts[0]
    assert not figure.axes[0].collections  # no identities, no band


def test_a_det_curve_of_perfect_scores_has_axes(tmp_path: Path) -> None:
    plots.plot_det([0.1, 0.2, 0.9, 0.8], [0, 0, 1, 1], tmp_path / "d.png")
    plots.plot_det(torch.tensor([0.1, 0.2]), [1, 0], tmp_path / "d.png")


def test_normal_distributions_are_a_straight_line_on_a_det() -> None:
    from scipy.stats import norm

    quantiles = norm.ppf((np.arange(2000) + 0.5) / 2000)
    scores, same = np.concatenate([quantiles, quantiles + 1]), np.repeat([0, 1], 2000)
    axes = plots.plot_det(scores, same).axes[0]
    x, y = drawn(axes)
    inner = (x > 0.02) & (x < 0.6)
    placed = axes.transScale.transform(np.stack([x, y], 1)[inner])
    slope = np.polyfit(*placed.T, 1)
    assert slope[0] == pytest.approx(-1, abs=0.02)
    np.testing.assert_allclose(np.polyval(slope, placed[:, 0]), placed[:, 1], atol=0.02)


def test_scores_are_drawn_as_shares_with_the_rates_of_the_threshold(tmp_path: Path) -> None:
    figure = plots.plot_scores(SCORES, SAME, tmp_path / "s.png", threshold=0.7, bins=12)
    (axes,) = figure.axes
    outlines = [patch for patch in axes.patches if not patch.get_fill()]
    for patch, kind in zip(outlines, (SAME, ~SAME), strict=True):
        edges = np.histogram_bin_edges(SCORES, 12)
        np.testing.assert_allclose(
            patch.get_data().values, np.histogram(SCORES[kind], edges)[0] / kind.sum()
        )
    rates = ev.error_rates(SCORES, SAME)
    place = np.flatnonzero(rates.thresholds == 0.7)[0]
    words = axes.get_legend().get_texts()[-1].get_text()
    assert f"FMR {rates.fmr[place]:.2%}, FNMR {rates.fnmr[place]:.2%}" in words
    assert axes.get_lines()[0].get_xdata()[0] == 0.7
    assert outlines[0].get_hatch() != outlines[1].get_hatch()


def test_reliability_draws_its_bins_counts_and_intervals(tmp_path: Path) -> None:
    probability = 1 / (1 + np.exp(-SCORES))
    figure = plots.plot_reliability(
        probability, SAME, tmp_path / "r.png", identities=IDENTITIES, n_resamples=100
    )
    bins = ev.reliability_curve(probability, SAME, identities=IDENTITIES, n_resamples=100)
    above, below = figure.axes
    x, y = above.get_lines()[1].get_data()
    np.testing.assert_array_equal((x, y), (bins.probability, bins.share))
    ends = np.array(above.collections[0].get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, np.stack([bins.low, bins.high], 1))  # type: ignore[arg-type]
    heights = np.array([bar.get_height() for bar in below.patches])
    np.testing.assert_array_equal(heights, np.concatenate([bins.n_same, bins.n_different]))
    assert len(plots.plot_reliability(probability, SAME).axes[0].collections) == 0


def test_an_open_set_is_drawn(tmp_path: Path) -> None:
    given = searches()
    figure = plots.plot_open_set(*given, tmp_path / "o.png", rank=2, n_resamples=100)
    expected = ev.open_set_curve(*given, rank=2, n_resamples=100)
    np.testing.assert_array_equal(drawn(figure.axes[0]), (expected.x, expected.y))
    assert set(expected.low.tolist()) <= set(band(figure.axes[0])[:, 1])  # type: ignore[union-attr]


def test_a_cmc_is_drawn_by_rank(tmp_path: Path) -> None:
    scores, classes, probes = searches()
    given = scores[KNOWN], classes, probes[KNOWN]
    figure = plots.plot_cmc(*given, tmp_path / "c.png", n_resamples=100)
    x, y = drawn(figure.axes[0])
    assert x.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(y, ev.cmc(*given), atol=1e-15)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 8, 8)])
def test_a_gallery_shows_queries_candidates_and_unknown(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    candidates = rng.integers(0, 256, (3, 2, *shape), dtype=np.uint8)
    labels = [["ann", "$bob"], ["bob", "ann"], ["ann", "bob"]]
    scores = [[0.9, 0.2], [0.8, 0.3], [0.1, 0.05]]
    figure = plots.plot_identification(
        queries, candidates, labels, scores, tmp_path / "g.png",
        unknown=[False, False, True], truth=["ann", "ann", "eve"],
    )  # fmt: skip
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0::3] == ["is ann", "is bob", "unknown"]
    assert titles[1] == "1. ann\n0.9"
    right, wrong, refused = figure.axes[0::3]
    frames = [axes.spines["top"].get_linestyle() for axes in (right, wrong, refused)]
    assert frames[0] == frames[2] == "-"
    assert frames[1] != "-"
    framed = [axes.get_title() for axes in figure.axes if axes.spines["top"].get_lw() == 3]
    assert framed == ["is ann", "1. ann\n0.9", "is bob", "2. ann\n0.3", "unknown"]


def test_nothing_goes_through_pyplot() -> None:
    plots.plot_scores(SCORES, SAME)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


IMAGES = np.zeros((2, 4, 4))
FOUND = np.zeros((2, 3, 4, 4))
NAMES, VALUES = [["a", "b", "c"]] * 2, np.zeros((2, 3))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.plot_roc([1.0], [1, 0]), "scores and same"),
        (lambda: plots.plot_roc([1.0, 2.0], [1, 1]), "one kind"),
        (lambda: plots.plot_det([1.0, np.nan], [1, 0]), "scores must be finite"),
        (lambda: plots.plot_det([1.0, 2.0], [1, 0], identities=5), "identities must be two"),
        (lambda: plots.plot_scores([1.0, 2.0], [2, 0]), "same must hold True and False"),
        (lambda: plots.plot_scores([1.0, 2.0], [0, 0]), "one kind"),
        (lambda: plots.plot_reliability([1.0, 2.0], [1, 0]), "probability must lie"),
        (lambda: plots.plot_open_set(np.zeros((2, 2)), [1, 2], [1, 2]), "no stranger"),
        (lambda: plots.plot_cmc(np.zeros((2, 2)), [1, 2], [1, 3]), "enrolled classes"),
        (lambda: plots.plot_identification(IMAGES, FOUND, NAMES, [[1.0]]), r"shapes .* \(1, 1\)"),
        (lambda: plots.plot_identification(IMAGES[0], FOUND, NAMES, VALUES), "shapes"),
        (lambda: plots.plot_identification(IMAGES, FOUND[:, :0], NAMES, VALUES), "shapes"),
        (
            lambda: plots.plot_identification(IMAGES, FOUND, NAMES, VALUES, unknown=[True]),
            "unknown must hold one entry a query",
        ),
        (
            lambda: plots.plot_identification(IMAGES, FOUND, NAMES, VALUES, unknown=[5, 0]),
            "unknown must hold True",
        ),
        (
            lambda: plots.plot_identification(IMAGES, FOUND, NAMES, VALUES, truth=["a"]),
            "truth must hold one entry",
        ),
    ],
)
def test_data_that_cannot_be_drawn_are_named(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        draw()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.plot_roc(SCORES, SAME, scale="ln"), "scale must be one of"),
        (lambda: plots.plot_roc(SCORES, SAME, axes=5), "axes must be matplotlib's Axes; got 5"),
        (lambda: plots.plot_det(SCORES, SAME, label=5), "label must be None or a string"),
        (lambda: plots.plot_scores(SCORES, SAME, threshold=np.nan), "threshold"),
        (lambda: plots.plot_scores(SCORES, SAME, bins=0), "bins"),
        (lambda: plots.plot_reliability(SCORES > 0, SAME, n_bins=0), "n_bins"),
        (lambda: plots.plot_open_set(*searches(), rank=0), "rank"),
        (lambda: plots.plot_scores(SCORES, SAME, ""), "path must be a path"),
        (lambda: plots.plot_identification(IMAGES, FOUND, NAMES, VALUES, ink=1), "ink must be"),
    ],
)
def test_arguments_are_named(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        draw()


@pytest.mark.parametrize("shape", [(8, 6), (1, 8, 6), (3, 8, 6)])
def test_an_explanation_draws_both_maps_on_one_scale(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, *shape))
    map_a, map_b = rng.normal(size=(2, 8, 6))
    figure = plots.plot_explanation(a, b, map_a, map_b, tmp_path / "e.png", ink=True)
    pictures = [axes.images[0] for axes in figure.axes[2:4]]
    np.testing.assert_array_equal(pictures[0].get_array(), map_a)
    np.testing.assert_array_equal(pictures[1].get_array(), map_b)
    assert len({picture.get_clim() for picture in pictures}) == 1
    assert "score" in figure.axes[4].get_ylabel()
    plots.plot_explanation(a, b, np.zeros((8, 6)), np.zeros((8, 6)), tmp_path / "e.png")


def test_an_explanation_of_vectors_has_a_bar_a_feature(tmp_path: Path) -> None:
    figure = plots.plot_explanation([1.0, 2.0], [3.0, 1.0], [0.5, -1], [0, 1], tmp_path / "e.png")
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.5, -1]


def test_maps_must_fit_their_items() -> None:
    with pytest.raises(InvalidDataError, match="map_b must have the height and width of b"):
        plots.plot_explanation(np.eye(3), np.eye(3), np.eye(3), np.eye(2))
