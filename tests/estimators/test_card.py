"""A card says what the model is, from what it knows, and is written beside it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from siamesekit import SiameseClassifier, SiameseEmbedder, SiameseVerifier
from siamesekit._files import write_whole
from siamesekit.errors import InvalidParameterError
from siamesekit.estimators import _folder
from siamesekit.estimators._card import is_own
from siamesekit.evaluation import Result, episode_accuracy

# So few epochs that learning is worth little is no news here.
pytestmark = pytest.mark.filterwarnings("ignore:Learning loses")

ODD = [
    "<script>alert(1)</script>",
    "a`b``c",
    "`",
    "x|y\n# heading\n---",
    "[link](javascript:alert(1))",
    "‮reversed",
    "***",
    "&lt;",
    "plain",
    " ",
    "![](x)",
    "very long " * 50,
]


def data(names: Any = ODD) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 6)
    X = rng.normal(size=(12, 5))[y] + 0.3 * rng.normal(size=(72, 5))
    return X, np.asarray(names)[y]


@pytest.fixture(scope="module")
def fitted() -> SiameseClassifier:
    clf = SiameseClassifier(
        "mlp", loss="triplet", max_epochs=2, validation=0.3, random_state=0
    ).set_params(loss__margin=0.31)
    return clf.fit(*data())


def section(card: str, title: str) -> str:
    """Return the text under a heading of a card."""
    return card.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_it_says_what_the_model_is(fitted: SiameseClassifier) -> None:
    card = fitted.card()
    line, made = section(card, "The line"), fitted.training_
    assert "- loss: `TripletLoss(margin=0.31)`" in line
    assert "- head: `CosineHead()`" in line
    n_weights = sum(p.numel() for p in fitted.backbone_.parameters())
    assert f"`MLP()`, {n_weights:,} weights" in line
    told = section(card, "Data")
    assert "- 72 items\n- 12 classes\n" in told
    assert f"- {len(fitted.trained_classes_)} classes trained on: " in told
    assert f"- {len(fitted.chosen_classes_)} classes that chose among epochs" in told
    figures = section(card, "Figures")
    low, high = made["validation"]["interval"]
    assert low < fitted.validation_score_ < high
    assert f"{fitted.validation_score_:.2%} [{low:.2%}, {high:.2%}]" in figures
    assert "200 4-way 1-shot episodes" in figures
    best = max(fitted.baselines_.values())
    assert f"{best:.2%}" in figures
    by = section(card, "How it was made")
    assert "- 2 epochs in " in by
    for key in ("hardware", "commit"):
        known = made["environment"][key]
        assert known is None or f"- {key}: `{known}`" in by
    assert f"torch {made['environment']['torch']}".replace("_", r"\_") in by
    assert made["seconds"] > sum(fitted.history_["seconds"])


def test_no_name_of_a_class_is_more_than_text(fitted: SiameseClassifier) -> None:
    markdown = pytest.importorskip("markdown_it", reason="reads Markdown as a page does")
    card = fitted.card()
    plain = SiameseClassifier("mlp", loss="triplet", max_epochs=2, validation=0.3, random_state=0)
    other = plain.set_params(loss__margin=0.31).fit(*data([f"class {k}" for k in range(12)])).card()

    def shape(text: str) -> list[str]:
        html = markdown.MarkdownIt("commonmark", {"html": True}).render(text)
        return re.findall(r"</?[a-zA-Z]\w*", html)

    # The same page, but for what stands in its code spans.
    assert shape(card) == shape(other)
    assert card.isprintable() is False  # it has lines
    assert all(line.isprintable() for line in card.splitlines())


def test_its_head_is_for_programs(fitted: SiameseClassifier) -> None:
    yaml = pytest.importorskip("yaml", reason="reads the head as a hub does")
    _, head, _ = fitted.card().split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "siamesekit",
        "pipeline_tag": "feature-extraction",
        "tags": ["siamesekit", "metric-learning", "one-shot-learning", "SiameseClassifier"],
    }


def test_its_code_runs(fitted: SiameseClassifier, tmp_path: Path) -> None:
    X, y = data()
    A, B = X[:6], X[6:12]
    others = {
        SiameseVerifier("mlp", max_epochs=1, random_state=0).fit(X, y),
        SiameseEmbedder("mlp", max_epochs=1, random_state=0).fit(X, y),
    }
    for model in (fitted, *others):
        model.save(tmp_path / "model")
        text = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
        code = text.partition("```python\n")[2].partition("```")[0]
        names = {"X": X, "X_new": X[:1], "y_new": ["new"], "A": A, "B": B}
        exec(code.replace("path/of/this/folder", str(tmp_path / "model")), names)


def test_a_part_that_must_be_given_is_named() -> None:
    clf = SiameseClassifier(nn.Linear(5, 3), max_epochs=0).fit(*data())
    text = section(clf.card(), "How to use it")
    assert 'load("path/of/this/folder", backbone=...)' in text
    assert "The backbone had no name" in text
    assert "no epoch: the network is as it was given" in clf.card()
    assert "none: nothing was held out" in clf.card()


def test_figures_of_evaluations_are_told(fitted: SiameseClassifier, tmp_path: Path) -> None:
    X, _ = data()
    new = np.repeat([f"new <b>{k}</b>" for k in range(12)], 6)
    found = episode_accuracy(
        fitted.transform(X), new, way=3, n_episodes=20, random_state=0, estimator=fitted
    )
    fitted.save(tmp_path / "model", results=[found])
    figures = section((tmp_path / "model" / "README.md").read_text(), "Figures")
    assert f"{found.value:.2%} [{found.interval[0]:.2%}, {found.interval[1]:.2%}]" in figures
    assert "20 3-way 1-shot episodes" in figures
    assert "of the" in figures
    for wrong in ([5], "x", found, None):
        with pytest.raises(InvalidParameterError, match="results must be a list"):
            fitted.card(wrong)
    assert isinstance(found, Result)


def test_verifiers_of_pairs_have_an_area_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    X, y = data()
    pairs = rng.integers(0, len(y), (400, 2))
    pairs[:150, 1] = pairs[:150, 0] // 6 * 6 + rng.integers(0, 6, 150)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    model = SiameseVerifier("mlp", max_epochs=1, validation=0.3, held_out=None, random_state=0)
    model.fit(X[pairs[:, 0]], X[pairs[:, 1]], same)
    figures = section(model.card(), "Figures")
    assert "area under the ROC curve of held-out pairs, by which the epoch was chosen" in figures
    assert f"{model.validation_score_:.2%}" in figures
    assert f"- {len(pairs)} pairs that were given" in section(model.card(), "Data")


def test_what_was_noted_is_saved_and_a_strangers_note_is_refused(
    fitted: SiameseClassifier, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model")
    assert loaded.training_ == fitted.training_
    for title in ("Data", "Figures", "How to use it", "The line"):
        assert section(loaded.card(), title) == section(fitted.card(), title)
    old = SiameseClassifier.from_pretrained("omniglot-28")
    assert old.training_ is None
    assert "versions in training: not recorded" in old.card()


@pytest.mark.parametrize(
    "change",
    [
        {"n_items": "many"},
        {"seconds": None},
        {"when": 5},
        {"environment": None},
        {"validation": {"value": 1}},
        {"validation": {"value": "x", "interval": None, "measure": "", "protocol": ""}},
        {"validation": 5},
    ],
)
def test_a_note_that_was_not_written_here_is_refused(
    fitted: SiameseClassifier, change: dict[str, Any]
) -> None:
    from siamesekit.errors import SavedModelError
    from siamesekit.estimators._making import read_made

    assert read_made(json.loads(json.dumps(fitted.training_))) == fitted.training_
    with pytest.raises(SavedModelError):
        read_made(fitted.training_ | change)


# -- beside the model ------------------------------------------------------------------------


def test_it_is_written_anew_at_each_save(fitted: SiameseClassifier, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    fitted.save(folder)
    first = (folder / "README.md").read_text(encoding="utf-8")
    assert first == fitted.card()
    assert is_own(first)
    other = SiameseEmbedder("mlp", max_epochs=1, random_state=0).fit(*data())
    other.save(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == other.card() != first


@pytest.mark.parametrize("written", ["My thesis.\n", "changed", b"\xff\xfe"])
def test_what_another_hand_wrote_stays(
    fitted: SiameseClassifier, tmp_path: Path, written: str | bytes
) -> None:
    folder = tmp_path / "model"
    fitted.save(folder)
    if written == "changed":
        written = fitted.card().replace("## Figures", "## Figures, as I see them")
    content = written.encode() if isinstance(written, str) else written
    (folder / "README.md").write_bytes(content)
    with pytest.warns(UserWarning, match=r"README\.md"):
        fitted.save(folder)
    assert (folder / "README.md").read_bytes() == content
    assert not list(folder.glob(".*"))
    SiameseClassifier.load(folder)


def test_a_card_that_cannot_be_written_costs_no_model(
    fitted: SiameseClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *args: Any) -> None:
        if path.name == "README.md":
            raise OSError(28, "No space left on device")
        write_whole(path, *args)

    monkeypatch.setattr(_folder, "write_whole", full)
    with pytest.warns(UserWarning, match="cannot be written, the model was: .*No space left"):
        fitted.save(tmp_path / "model")
    assert "README.md" not in os.listdir(tmp_path / "model")
    SiameseClassifier.load(tmp_path / "model")
