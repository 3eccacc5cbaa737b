"""Pictures are drawn, written, and show what they are given."""

from pathlib import Path

import numpy as np
import pytest

from siamesekit import plots
from siamesekit.errors import InvalidDataError

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
    assert [text.get_text() for text in legend.get_texts()] == ["A", "B", "C"]
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
