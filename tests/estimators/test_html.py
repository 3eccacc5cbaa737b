"""How a page shows an estimator."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from siamesekit import SiameseClassifier, SiameseEmbedder, SiameseVerifier

pytestmark = pytest.mark.filterwarnings("ignore:Learning loses")


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 6)
    names = np.array(["<img src=x onerror=alert(1)>", "'\"&", *map(str, range(10))])
    return rng.normal(size=(12, 5))[y] + 0.3 * rng.normal(size=(72, 5)), names[y]


class Page(HTMLParser):
    """Collects text and tags, and fails where a tag is closed that is not open."""

    VOID = ("br", "img", "input", "meta", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        self.text += f" {text}"


def line_of(estimator: object) -> Page:
    """Return the part of the page that is ours."""
    whole = estimator._repr_html_()  # type: ignore[attr-defined]
    return Page(whole[: whole.index("<style>")])


def test_what_is_not_fitted_shows_what_was_given() -> None:
    clf = SiameseClassifier(nn.Linear(5, 3), loss="triplet", miner="semihard")
    page = line_of(clf)
    assert "SiameseClassifier (not fitted)" in re.sub(r"\s+", " ", page.text)
    for word in ("Linear", "cosine", "triplet", "miner: semihard", "sampler: auto"):
        assert word in page.text
    assert "enrolled" not in page.text


def test_what_is_fitted_shows_what_was_trained_and_who_is_enrolled() -> None:
    clf = SiameseClassifier("mlp", max_epochs=1, random_state=0).fit(*data())
    page = line_of(clf)
    n_weights = sum(p.numel() for p in clf.backbone_.parameters())
    for word in ("(fitted)", "MLP()", f"{n_weights:,} weights", "CosineHead()", "EpisodicLoss()"):
        assert word in page.text
    assert "12 classes enrolled, 72 examples" in page.text
    assert "and 4 more" in page.text
    clf.forget([str(number) for number in range(10)])
    page = line_of(clf)
    assert "2 classes enrolled, 12 examples: '\"&, <img src=x onerror=alert(1)>" in page.text
    assert "img" not in page.tags
    assert page.text.index("backbone") < page.text.index("head") < page.text.index("loss")


def test_others_show_theirs() -> None:
    verifier = SiameseVerifier("mlp", max_epochs=1, random_state=0).fit(*data())
    assert f"threshold {verifier.threshold_:.4g}" in line_of(verifier).text
    embedder = SiameseEmbedder("mlp", max_epochs=1, random_state=0).fit(*data())
    embedder.loss_ = None  # as of one that was loaded without
    assert "EpisodicLoss" not in line_of(embedder).text


def test_scikit_learns_own_stays_and_is_asked_where_a_page_is_wanted() -> None:
    clf = SiameseClassifier(loss="<b>")
    assert "sk-top-container" in clf._repr_html_()
    assert "<b>&lt;b&gt;" not in clf._repr_html_()
    assert "&lt;b&gt;" in clf._repr_html_()
    bundle = clf._repr_mimebundle_()
    assert bundle["text/plain"] == repr(clf)
    assert "siamesekit-line" in bundle["text/html"]
    with config_context(display="text"):
        assert not hasattr(clf, "_repr_html_")
        assert clf._repr_mimebundle_() == {"text/plain": repr(clf)}
    assert "SiameseEmbedder" in make_pipeline(StandardScaler(), SiameseEmbedder())._repr_html_()
