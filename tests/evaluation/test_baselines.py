"""Baselines: one contract, formulas by hand, and what they are worth where the answer is known."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NeighborhoodComponentsAnalysis

from siamesekit.backbones._within import within_spread
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    LeakageError,
    NotBuiltError,
)
from siamesekit.evaluation import (
    BASELINES,
    draw_episodes,
    episode_accuracy,
    fit_baselines,
    score_baselines,
    tanimoto_similarity,
)
from siamesekit.evaluation.baselines import LDA, NCA, WCCN, Cosine, Tanimoto


def drawn(n: int, classes: int, d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return items of classes that differ in the first two features, among loud other ones."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    means = np.zeros((classes, d))
    means[:, :2] = 4 * rng.normal(size=(classes, 2))
    noise = np.ones(d)
    noise[2:] = 8
    return means[y] + noise * rng.normal(size=(n, d)) + 20, y


X, Y = drawn(400, 20)
OLD = Y < 10


@pytest.mark.parametrize("name", BASELINES)
def test_one_contract(name: str) -> None:
    items = np.abs(X)
    part = BASELINES[name]()
    with pytest.raises(NotBuiltError, match="fit"):
        part(items[:2], items[:3])
    assert part.fit(items[OLD], Y[OLD]) is part
    scores = part(items[:5], items[5:12])
    assert scores.shape == (5, 7)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, part(items[5:12], items[:5]).T, rtol=1e-4, atol=1e-4)
    vectors = part.transform(torch.from_numpy(items[:12]))
    torch.testing.assert_close(part.compare(vectors[:5], vectors[5:]), scores)
    assert part.trained_classes_ is not None
    assert part.trained_classes_.tolist() == list(range(10))
    again = BASELINES[name]().fit(items[OLD], Y[OLD])(items[:5], items[5:12])
    assert torch.equal(again, scores)
    with pytest.raises(LeakageError):
        episode_accuracy(vectors, Y[:12], scorer=part.compare, estimator=part, way=2)
    with pytest.raises(InvalidDataError, match="at least 2 classes"):
        part.fit(items[:3], [1, 1, 1])
    with pytest.raises(InvalidDataError, match="6 features"):
        part.transform(items[:3, :2])
    with pytest.raises(InvalidDataError, match="shape"):
        part.transform(items[0])


def test_tanimoto_by_hand() -> None:
    a = torch.tensor([[1.0, 1, 0, 1], [0, 0, 0, 0]])
    b = torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]])
    expected = torch.tensor([[2 / 3, 0, 0], [0, 0, 0]])
    torch.testing.assert_close(tanimoto_similarity(a, b), expected)
    counts = tanimoto_similarity(torch.tensor([[2.0, 1]]), torch.tensor([[1.0, 3]]))
    assert counts.item() == pytest.approx(5 / (5 + 10 - 5))
    with pytest.raises(InvalidDataError, match="b must be a dense tensor"):
        tanimoto_similarity(a, b.numpy())  # type: ignore[arg-type]
    assert Tanimoto().suits(a)
    assert not Tanimoto().suits(-a)


def test_within_spread_is_the_root_of_the_inverse() -> None:
    rng = np.random.default_rng(0)
    for n, d in ((60, 5), (12, 30)):  # by features, and by items where these are fewer
        vectors = torch.from_numpy(rng.normal(size=(n, d)) * rng.uniform(0.5, 2, d))
        labels = torch.arange(n) % 4
        spread = within_spread(vectors, labels)
        assert spread is not None
        means = torch.stack([vectors[labels == k].mean(0) for k in range(4)])
        off = vectors - means[labels]
        w = off.T @ off / (n - 4)
        shrunk = 0.3 * torch.eye(d) * w.diagonal().mean() + 0.7 * w
        values, axes = torch.linalg.eigh(shrunk)
        root = axes @ torch.diag(values.rsqrt()) @ axes.T
        relative = root * (0.3 * w.diagonal().mean()).sqrt()
        torch.testing.assert_close(spread.whiten(vectors, 0.3), vectors @ relative)
        torch.testing.assert_close(spread.whiten(vectors, 1.0), vectors)
    assert within_spread(vectors[:3], torch.arange(3)) is None
    assert within_spread(torch.ones(6, 2), torch.arange(6) % 2) is None


def test_lda_and_nca_are_scikit_learns() -> None:
    scale = X[OLD].std()
    expected = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    points = torch.from_numpy(expected.fit(X[OLD] / scale, Y[OLD]).transform(X[~OLD] / scale))
    lda = LDA().fit(X[OLD], Y[OLD])
    assert torch.allclose(lda.transform(X[~OLD]), points.float(), rtol=1e-3, atol=1e-3)
    z = (X[OLD] - X[OLD].mean(0)) / X[OLD].std(0)
    expected = NeighborhoodComponentsAnalysis(6, init="pca", max_iter=30, random_state=0)
    nca = NCA().fit(X[OLD], Y[OLD])
    own = nca.transform(X[OLD])
    assert torch.allclose(
        own, torch.from_numpy(expected.fit(z, Y[OLD]).transform(z)).float(), atol=1e-4
    )


def test_a_table_of_results_on_classes_never_seen() -> None:
    table = fit_baselines(X[OLD], Y[OLD])
    assert set(table) == set(BASELINES) - ({"tanimoto"} if (X < 0).any() else set())
    results = score_baselines(table, X[~OLD], Y[~OLD], way=5, n_episodes=300, random_state=0)
    # What the loud features hide from a plain cosine, all that look at the classes find.
    for name, gain in {"lda": 0.1, "wccn": 0.03, "nca": 0.1}.items():
        assert results[name].value > results["cosine"].value + gain
    assert all(r.tested_classes == tuple(range(10, 20)) for r in results.values())
    assert results["lda"].model == {"class": "LDA", "random_state": 0}
    with pytest.raises(LeakageError):
        score_baselines(table, X, Y, way=5)


def test_a_baseline_is_a_scorer_of_raw_items() -> None:
    part = WCCN().fit(X[OLD], Y[OLD])
    given = {"way": 5, "n_episodes": 50, "random_state": 1}
    at_once = score_baselines({"wccn": part}, X[~OLD], Y[~OLD], **given)["wccn"].value
    assert episode_accuracy(X[~OLD], Y[~OLD], scorer=part, **given).value == pytest.approx(  # type: ignore[arg-type]
        at_once
    )


def test_images_are_vectors_of_pixels_and_many_features_few_components() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((30, 26, 26))
    labels = np.arange(30) % 3
    table = fit_baselines(images, labels)
    assert "nca" not in table  # of more than 256 features it would take too long
    assert table["lda"](images[:2], images[2:5]).shape == (2, 3)


def test_names() -> None:
    assert list(fit_baselines(X[OLD], Y[OLD], ["lda", "cosine"])) == ["lda", "cosine"]
    with pytest.raises(InvalidParameterError, match=r"got 'tanimotto'.*Did you mean 'tanimoto'"):
        fit_baselines(X, Y, ["tanimotto"])
    with pytest.raises(InvalidParameterError, match="random_state"):
        Cosine(-1)


def test_no_more_items_are_looked_at_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NCA, "most_items", 40)
    part = NCA().fit(X[OLD], Y[OLD])
    assert part._scale.n_samples_seen_ == 40
    assert draw_episodes(Y, way=3, n_episodes=2, random_state=0).support.shape == (2, 3, 1)


def test_lda_counts_no_direction_that_rounding_alone_makes() -> None:
    """Of fewer items than features, one of as many components as items is nothing but rounding."""
    rng = np.random.default_rng(0)
    classes = rng.standard_normal((20, 600))
    x = np.repeat(classes, 8, 0) + 0.5 * rng.standard_normal((160, 600))
    y = np.repeat(np.arange(20), 8)
    fitted = LDA().fit(x[:120], y[:120])
    vectors = fitted.transform(x[120:])
    scores = fitted.compare(vectors, vectors).fill_diagonal_(-torch.inf)
    assert (y[120:][scores.argmax(1)] == y[120:]).mean() > 0.9
