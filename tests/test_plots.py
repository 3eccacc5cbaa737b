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
