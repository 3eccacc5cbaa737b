import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import retrieval_metrics


def _naive(x, y, refs, ref_y, ks):
    alone = refs is None
    refs, ref_y = (x, y) if alone else (refs, ref_y)
    rows = []
    for i, (a, label) in enumerate(zip(x, y, strict=True)):
        others = [j for j in range(len(refs)) if not (alone and j == i)]
        others.sort(key=lambda j: (float(((a - refs[j]) ** 2).sum()), j))
        hits = [bool(ref_y[j] == label) for j in others]
        r = sum(hits)
        if r:
            found = [sum(hits[: k + 1]) / (k + 1) * hits[k] for k in range(r)]
            recalls = [any(hits[:k]) for k in ks]
            rows.append([hits[0], sum(hits[:r]) / r, sum(found) / r, *recalls])
    return np.mean(np.array(rows, dtype=float), axis=0), len(rows)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.booleans(), st.integers(1, 7))
def test_equals_the_naive_way_with_ties_and_singletons(seed, alone, block_rows) -> None:
    rng = np.random.default_rng(seed)
    # Few whole numbers: duplicate points and tied distances.
    x, y = rng.integers(0, 3, (12, 2)).astype(float), rng.integers(0, 5, 12)
    refs, ref_y = rng.integers(0, 3, (9, 2)).astype(float), rng.integers(0, 5, 9)
    y[0], y[1], ref_y[0] = 4, 4, 4
    given_refs = (None, None) if alone else (refs, ref_y)
    got = retrieval_metrics(x, y, *given_refs, recall_at=(1, 3), block_rows=block_rows)
    want, n = _naive(x, y, *given_refs, (1, 3))
    ours = [got.precision_at_1, got.r_precision, got.map_at_r, *got.recall_at.values()]
    np.testing.assert_allclose(ours, want)
    assert (got.n_queries, got.n_skipped) == (n, 12 - n)


@pytest.mark.parametrize("alone", [True, False])
def test_equals_pytorch_metric_learning(alone: bool) -> None:
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.normal(size=(80, 4))).float(), torch.arange(80) % 7
    refs, ref_y = torch.from_numpy(rng.normal(size=(60, 4))).float(), torch.arange(60) % 7
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    peer = AccuracyCalculator(
        include=names,
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(distances.LpDistance(normalize_embeddings=False)),
    )
    if alone:
        want, got = peer.get_accuracy(x, y), retrieval_metrics(x, y)
    else:
        want, got = peer.get_accuracy(x, y, refs, ref_y), retrieval_metrics(x, y, refs, ref_y)
    ours = [got.precision_at_1, got.r_precision, got.map_at_r]
    np.testing.assert_allclose(ours, [want[name] for name in names], atol=1e-6)


def test_labels_that_float32_confuses_are_told_apart() -> None:
    x, refs = np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 1.0]])
    got = retrieval_metrics(x, [16_777_216], refs, [16_777_217, 16_777_216], recall_at=(1, 2))
    assert got.precision_at_1 == 0
    assert got.recall_at == {1: 0, 2: 1}


def test_strings_are_labels_and_a_scorer_sees_a_block_at_a_time() -> None:
    rows = []

    def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        rows.append(len(a))
        return a @ b.T

    x = np.eye(4)[[0, 0, 1, 1, 2, 2]]
    names = np.array(["a", "a", "b", "b", "c", "c"])
    got = retrieval_metrics(x, names, scorer=cosine, recall_at=(1,), block_rows=4)
    assert rows == [4, 2]
    assert got.map_at_r == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": np.full((3, 2), np.nan)}, "queries must be finite"),
        ({"queries": np.zeros(3)}, "queries must have shape"),
        ({"query_labels": [0, 1]}, "query_labels must have shape"),
        ({"query_labels": [0, 1, 2]}, "query_labels must give some query"),
        ({"references": np.zeros((2, 2))}, "reference_labels must be given"),
        ({"references": np.zeros((2, 3)), "reference_labels": [0, 1]}, "as many columns"),
        ({"references": np.zeros((2, 2)), "reference_labels": ["a", "b"]}, "of the kind"),
    ],
)
def test_bad_data_is_refused_by_name(change, message) -> None:
    arguments = {"queries": np.zeros((3, 2)), "query_labels": [0, 0, 1], "recall_at": (1,)}
    with pytest.raises(InvalidDataError, match=message):
        retrieval_metrics(**(arguments | change))


@pytest.mark.parametrize("change", [{"recall_at": (3,)}, {"recall_at": (0,)}, {"block_rows": 0}])
def test_bad_parameters_are_refused_by_name(change) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        retrieval_metrics(np.zeros((3, 2)), [0, 0, 1], **({"recall_at": (1,)} | change))
