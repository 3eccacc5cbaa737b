"""Pictures are drawn, written, and show what they are given."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit import plots
from siamesekit.errors import InvalidDataError, InvalidParameterError

pytest.importorskip("matplotlib")


def test_a_one_shot_task_frames_the_true_class(tmp_path: Path) -> None:
    support = np.zeros((20, 8, 8))
    scores = np.linspace(0, 1, 20)
    figure = plots.plot_one_shot_task(support, support[0], scores, 3, tmp_path / "task.png")
    assert (tmp_path / "task.png").stat().st_size > 1000
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["query", "1.000"]
    framed = [a for a in figure.axes if a.spines["top"].get_linewidth() == 3]
    assert {a.get_title() for a in framed} == {"1.000", f"{scores[3]:.3f}"}


def test_scores_must_fit() -> None:
    with pytest.raises(InvalidDataError, match="20 supports; got 19"):
        plots.plot_one_shot_task(np.zeros((20, 8, 8)), np.zeros((8, 8)), np.zeros(19), 0)
    with pytest.raises(InvalidDataError, match="answer 20"):
        plots.plot_one_shot_task(np.zeros((20, 8, 8)), np.zeros((8, 8)), np.zeros(20), 20)


def test_history_shows_validation_where_there_is_one(tmp_path: Path) -> None:
    assert len(plots.plot_history({"loss": [2.0, 1.0]}).axes) == 1
    history = {"loss": [2.0, 1.0], "validation": [0.5, 0.6]}
    assert len(plots.plot_history(history, tmp_path / "h.png").axes) == 2
    assert (tmp_path / "h.png").exists()


def test_embeddings_name_their_classes() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 5))
    figure = plots.plot_embeddings(vectors, np.repeat(["a", "b", "c"], 10))
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    with pytest.raises(InvalidDataError, match="labels"):
        plots.plot_embeddings(vectors, [1, 2])


def test_a_search_shows_the_best_so_far_and_each_parameter(tmp_path: Path) -> None:
    scores = [0.2, 0.9, 0.3, np.nan, 0.5]
    pruned = [False, True, False, True, False]
    rates = np.logspace(-4, -1, 5)
    figure = plots.plot_search(
        scores, pruned, {"rate": rates, "momentum": np.linspace(0, 1, 5)}, tmp_path / "s.png"
    )
    assert (tmp_path / "s.png").exists()
    progress, by_rate, by_momentum = figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in progress.get_lines()}
    assert lines["best so far"] == [[0, 0.2], [1, 0.2], [2, 0.3], [3, 0.3], [4, 0.5]]
    assert lines["pruned"][0] == [1, 0.9]
    assert (by_rate.get_xscale(), by_momentum.get_xscale()) == ("log", "linear")
    assert by_rate.get_xlabel() == "rate"


def test_a_search_needs_as_many_entries_as_trials() -> None:
    with pytest.raises(InvalidDataError, match=r"rate must hold one .*\(2\); got 1"):
        plots.plot_search([0.1, 0.2], [False, True], {"rate": [1e-3]})


NAMES = ["USA", "iPhone", "_hidden", "McDonald", "$x_{$", "_", "", "50 %", "a\nb", "été", "\\alpha"]


def test_labels_are_written_as_they_are_given(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(2 * len(NAMES), 5))
    figure = plots.plot_embeddings(vectors, np.repeat(NAMES, 2), tmp_path / "e.png")
    assert (tmp_path / "e.png").stat().st_size > 1000
    texts = figure.axes[0].get_legend().get_texts()
    assert sorted(text.get_text() for text in texts) == sorted(NAMES)


@pytest.mark.parametrize(
    "labels", [[1, "1", None], [2**60, 2**60 + 1, 5], [True, False, True], [("a", 1), "b", 0.5]]
)
def test_labels_of_any_kind_are_named(labels: list[object]) -> None:
    figure = plots.plot_embeddings(torch.eye(3), labels)  # type: ignore[arg-type]
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(texts) == sorted(str(label) for label in dict.fromkeys(labels))


@pytest.mark.parametrize(
    "vectors",
    [np.arange(6.0)[:, None], np.ones((6, 3)), np.eye(6) * 1e200, np.eye(6, dtype=np.float16),
     np.eye(6)[::-1].astype(">f4"), torch.eye(6, dtype=torch.bfloat16)],
)  # fmt: skip
def test_odd_embeddings_are_drawn(vectors: object, tmp_path: Path) -> None:
    figure = plots.plot_embeddings(vectors, list("aabbcc"), tmp_path / "e.png")  # type: ignore[arg-type]
    assert "nan" not in figure.axes[0].get_xlabel()


def test_one_embedding_is_a_point(tmp_path: Path) -> None:
    plots.plot_embeddings([[1.0, 2.0]], ["a"], tmp_path / "e.png")


def test_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    vectors = np.random.default_rng(0).normal(size=(40, 5))
    figure = plots.plot_embeddings(vectors, np.zeros(40))
    points = figure.axes[0].collections[0].get_offsets()
    expected = PCA(2).fit_transform(vectors)
    scale = np.abs(vectors).max()
    np.testing.assert_allclose(np.abs(points) * scale, np.abs(expected), atol=1e-9)


@pytest.mark.parametrize(
    ("history", "axes"),
    [
        ({"validation": [0.1, 0.2]}, 1),
        ({"loss": [np.nan, np.nan]}, 1),
        ({"loss": [-1.0, -2.0], "validation": []}, 1),
        ({"loss": [1.0, np.inf, 0.5, None], "validation": [0.5]}, 2),
        ({"loss": [1.0], "validation": [np.nan]}, 2),
        ({"loss": np.ones(3), "seconds": ["a"]}, 1),
        ({"loss": torch.ones(3)}, 1),
    ],
)
def test_odd_histories_are_drawn(
    history: dict[str, list[float]], axes: int, tmp_path: Path
) -> None:
    assert len(plots.plot_history(history, tmp_path / "h.png").axes) == axes


def test_a_loss_below_zero_is_seen() -> None:
    axes = plots.plot_history({"loss": [1.0, -3.0]}).axes[0]
    assert axes.get_ylim()[0] <= -3
    assert plots.plot_history({"loss": [1.0, 3.0]}).axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 8, 8)])
@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float32])
def test_images_of_one_channel_or_three_are_drawn(
    shape: tuple[int, ...], dtype: type, tmp_path: Path
) -> None:
    images = (np.random.default_rng(0).random((3, *shape)) * 255).astype(dtype)
    plots.plot_one_shot_task(images, images[0], [0.1, 0.2, 0.3], np.int64(1), tmp_path / "t.png")


def test_names_of_parameters_are_written_as_they_are(tmp_path: Path) -> None:
    names = ["_rate", "$x_{$", "loss__margin"]
    scores, columns = [0.1, np.nan, None], {name: [1.0, 2.0, 90.0] for name in names}
    figure = plots.plot_search(scores, [0, 1, 0], columns, tmp_path / "s.png")  # type: ignore[arg-type]
    assert [axes.get_xlabel() for axes in figure.axes[1:]] == names
    plots.plot_search([], [], {}, tmp_path / "s.png")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.plot_history({}), "'loss' or 'validation'"),
        (lambda: plots.plot_history({"loss": []}), "'loss' or 'validation'"),
        (lambda: plots.plot_history([1.0]), "history must be a mapping"),
        (lambda: plots.plot_history({"loss": ["a"]}), r"history\['loss'\] must hold numbers"),
        (lambda: plots.plot_history({"loss": 3.0}), r"history\['loss'\] must hold a number"),
        (lambda: plots.plot_embeddings(np.zeros((0, 2)), []), r"embeddings must have shape"),
        (lambda: plots.plot_embeddings([1.0, 2.0], [1, 2]), "embeddings must have shape"),
        (lambda: plots.plot_embeddings([["a"]], [1]), "embeddings must hold real numbers"),
        (lambda: plots.plot_embeddings([[np.nan]], [1]), "embeddings must be finite"),
        (lambda: plots.plot_embeddings(np.eye(2), [1, np.nan]), "labels must not hold NaN"),
        (lambda: plots.plot_embeddings(np.eye(2), 5), "labels must hold one entry"),
        (lambda: plots.plot_one_shot_task([], np.eye(2), [], 0), "fit 0 supports"),
        (lambda: plots.plot_one_shot_task(np.ones((2, 3, 3)), np.eye(3), [0, 1], True), "True"),
        (lambda: plots.plot_one_shot_task(np.ones((2, 3, 3)), np.eye(3), [0, 1], 0.5), "0.5"),
        (lambda: plots.plot_one_shot_task(np.ones((1, 3, 3)), np.eye(3), [np.nan], 0), "finite"),
        (lambda: plots.plot_one_shot_task(np.ones((1, 3, 3)), np.ones(3), [1], 0), "query must be"),
        (lambda: plots.plot_one_shot_task(np.ones((1, 2, 3, 3)), np.eye(3), [1], 0), "support"),
        (lambda: plots.plot_search(["a"], [False], {}), "scores must hold numbers"),
        (lambda: plots.plot_search([0.1], [2], {}), "pruned must hold True and False"),
        (lambda: plots.plot_search([0.1], [False], {"a": ["x"]}), "a must hold numbers"),
        (lambda: plots.plot_search([0.1], [False], 5), "parameters must be a mapping"),
        (lambda: plots.plot_search(0.1, False, {}), "scores must hold one entry"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        draw()


@pytest.mark.parametrize("path", [5, "", b"h.png", True])
def test_a_picture_needs_a_path(path: object) -> None:
    with pytest.raises(InvalidParameterError, match="path must be a path"):
        plots.plot_history({"loss": [1.0]}, path)  # type: ignore[arg-type]
