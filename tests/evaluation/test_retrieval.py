"""Retrieval: the mean over all orders of ties, pytorch-metric-learning, in blocks, labels exact."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import RetrievalMetrics, knn_accuracy, retrieval_metrics
from siamesekit.heads import CosineHead, EuclideanHead

Labels = list[object]

# Few whole coordinates and few classes: duplicates, ties and singletons abound, and distances are
# exact in float32. Few items: all orders of equal scores are tried.
points = st.tuples(st.integers(0, 2), st.integers(0, 1))
items = st.lists(st.tuples(points, st.integers(0, 2)), min_size=2, max_size=7)
one_class = st.lists(st.tuples(points, st.just(7)), min_size=2, max_size=6)


def split(pairs: list[tuple[tuple[int, int], int]]) -> tuple[np.ndarray, Labels]:
    return np.array([point for point, _ in pairs], dtype=np.float32), [y for _, y in pairs]


def orders(query: np.ndarray, references: np.ndarray, own: int | None) -> Iterator[list[int]]:
    """Yield every order of the references by distance, each order of equal distances once."""
    others = [j for j in range(len(references)) if j != own]
    distance = {j: float(((query - references[j]) ** 2).sum()) for j in others}
    runs = [[j for j in others if distance[j] == d] for d in sorted(set(distance.values()))]
    for chosen in product(*(permutations(run) for run in runs)):
        yield [j for run in chosen for j in run]


def naive_metrics(
    queries: np.ndarray, labels: Labels, references: np.ndarray, others: Labels, within: bool
) -> dict[str, object] | None:
    rows = []
    for i, query in enumerate(queries):
        worth = []
        for order in orders(query, references, i if within else None):
            hits = [others[j] == labels[i] for j in order]
            r = sum(hits)
            if r:
                precision = [sum(hits[: j + 1]) / (j + 1) * hits[j] for j in range(r)]
                recall = [any(hits[:k]) for k in (1, 2, 9)]
                worth.append([hits[0], sum(hits[:r]) / r, sum(precision) / r, *recall])
        if worth:
            rows.append(np.mean(worth, axis=0))
    if not rows:
        return None
    p1, rp, map_at_r, *recalls = np.mean(rows, axis=0).tolist()
    return {
        "precision_at_1": p1, "r_precision": rp, "map_at_r": map_at_r,
        "recall_at": dict(zip(("1", "2", "9"), recalls, strict=True)),
        "n_queries": len(rows), "n_skipped": len(queries) - len(rows),
    }  # fmt: skip


def naive_knn(
    queries: np.ndarray, labels: Labels, references: np.ndarray, others: Labels, k: int,
    within: bool,
) -> float:  # fmt: skip
    shares = []
    for i, query in enumerate(queries):
        right = []
        for order in orders(query, references, i if within else None):
            votes = [others[j] for j in order[:k]]
            counts = Counter(votes)
            winner = next(v for v in votes if counts[v] == max(counts.values()))
            right.append(winner == labels[i])
        shares.append(np.mean(right))
    return float(np.mean(shares))


def agree(found: RetrievalMetrics, expected: dict[str, object]) -> None:
    got = found.to_dict()
    assert got.pop("recall_at") == pytest.approx(expected.pop("recall_at"))
    assert got == pytest.approx(expected)


def blobs(n: int, classes: int, seed: int = 0, dim: int = 4) -> tuple[Tensor, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    return torch.from_numpy(centres[labels] + rng.normal(size=(n, dim))).float(), labels


@given(pairs=st.one_of(items, one_class), block_rows=st.integers(1, 15))
@settings(max_examples=150, deadline=None)
def test_among_themselves_as_a_naive_loop_does(
    pairs: list[tuple[tuple[int, int], int]], block_rows: int
) -> None:
    z, y = split(pairs)
    expected = naive_metrics(z, y, z, y, within=True)
    if expected is None:
        with pytest.raises(InvalidDataError, match="each item has its own"):
            retrieval_metrics(z, y, recall_at=(1, 2, 9))
    else:
        agree(retrieval_metrics(z, y, recall_at=(1, 2, 9), block_rows=block_rows), expected)
    k = 1 + block_rows % (len(y) - 1)
    found = knn_accuracy(z, y, k=k, block_rows=block_rows)
    assert found == pytest.approx(naive_knn(z, y, z, y, k, within=True))


@given(pairs=items, others=st.one_of(items, one_class), block_rows=st.integers(1, 15))
@settings(max_examples=150, deadline=None)
def test_among_references_as_a_naive_loop_does(
    pairs: list[tuple[tuple[int, int], int]],
    others: list[tuple[tuple[int, int], int]],
    block_rows: int,
) -> None:
    (z, y), (references, labels) = split(pairs), split(others)
    expected = naive_metrics(z, y, references, labels, within=False)
    if expected is None:
        with pytest.raises(InvalidDataError, match="class of at least one query"):
            retrieval_metrics(z, y, references, labels)
    else:
        agree(
            retrieval_metrics(z, y, references, labels, recall_at=(1, 2, 9), block_rows=block_rows),
            expected,
        )
    k = 1 + block_rows % len(labels)
    found = knn_accuracy(z, y, references, labels, k=k, block_rows=block_rows)
    assert found == pytest.approx(naive_knn(z, y, references, labels, k, within=False))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("within", [True, False])
def test_equal_to_pytorch_metric_learning(seed: int, within: bool) -> None:
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    z, y = blobs(90, 12, seed)
    references, labels = (None, None) if within else blobs(150, 14, seed + 50)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
        device=torch.device("cpu"),
    )
    expected = calculator.get_accuracy(
        z, torch.from_numpy(y), references, None if labels is None else torch.from_numpy(labels)
    )
    found = retrieval_metrics(z, y, references, labels, block_rows=17)
    assert found.precision_at_1 == pytest.approx(expected["precision_at_1"])
    assert found.r_precision == pytest.approx(expected["r_precision"])
    assert found.map_at_r == pytest.approx(expected["mean_average_precision_at_r"])
    assert found.recall_at[1] == found.precision_at_1


def test_nearest_neighbour_equal_to_scikit_learn() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    (z, y), (references, labels) = blobs(80, 2, 1), blobs(120, 2, 2)
    for k in (1, 3, 7):
        expected = KNeighborsClassifier(k).fit(references, labels).score(z, y)
        assert knn_accuracy(z, y, references, labels, k=k) == pytest.approx(expected)


@pytest.mark.parametrize("tied", [False, True])
def test_no_figure_depends_on_the_blocks(tied: bool) -> None:
    z, y = blobs(61, 5, dim=33)
    z = z.round() if tied else z
    figures = [retrieval_metrics(z, y, block_rows=rows) for rows in (None, 1, 2, 7, 60, 61, 999)]
    assert figures == [figures[0]] * len(figures)
    shares = {knn_accuracy(z, y, k=4, block_rows=rows) for rows in (None, 1, 7, 61)}
    assert len(shares) == 1


def constant(a: Tensor, b: Tensor) -> Tensor:
    return torch.zeros(len(a), len(b))


@pytest.mark.parametrize("order", ["sorted", "reversed", "shuffled"])
def test_a_constant_scorer_gets_exactly_chance(order: str) -> None:
    y = np.repeat(np.arange(10), 20)
    rows = {"sorted": np.arange(200), "reversed": np.arange(200)[::-1],
            "shuffled": np.random.default_rng(0).permutation(200)}[order]  # fmt: skip
    labels, references = y[rows], np.zeros((200, 3))
    found = retrieval_metrics(
        references[:50], y[::4], references, labels, scorer=constant, recall_at=(1, 5, 181, 500)
    )
    assert found.precision_at_1 == 0.1
    assert found.recall_at[1] == 0.1
    missed = math.comb(180, 5) / math.comb(200, 5)
    assert found.recall_at[5] == pytest.approx(1 - missed, rel=1e-12)
    assert found.recall_at[181] == found.recall_at[500] == 1.0
    assert found.r_precision == pytest.approx(0.1, rel=1e-12)
    # Of two ranks of a run both are hits by (20/200) (19/199).
    ranks = np.arange(1, 21)
    expected = (0.1 * (1 + (ranks - 1) * 19 / 199) / ranks).mean()
    assert found.map_at_r == pytest.approx(expected, rel=1e-12)
    assert knn_accuracy(references[:50], y[::4], references, labels, k=1, scorer=constant) == 0.1
    for k in (5, 12):
        share = knn_accuracy(references[:50], y[::4], references, labels, k=k, scorer=constant)
        assert share == pytest.approx(0.1, rel=1e-9)


def test_no_figure_depends_on_the_order_of_the_references() -> None:
    z, y = blobs(60, 4, dim=2)
    z = z.round()
    queries, labels = z[:20] + 1, y[:20]
    rng = np.random.default_rng(3)
    figures = set()
    for order in (np.arange(60), np.argsort(y), rng.permutation(60), rng.permutation(60)):
        found = retrieval_metrics(queries, labels, z[order], y[order], recall_at=(3,))
        shares = [knn_accuracy(queries, labels, z[order], y[order], k=k) for k in (1, 4, 15)]
        figures.add((found.map_at_r, found.r_precision, found.recall_at[3], *shares))
    first, *others = figures
    for other in others:
        assert other == pytest.approx(first, rel=1e-12)


def test_a_frequent_class_wins_a_blind_vote_as_often_as_it_is_drawn() -> None:
    # Nine of one class and one of the other, three drawn: the majority is always of the first.
    labels = ["a"] * 9 + ["b"]
    blind = np.zeros((10, 1))
    assert knn_accuracy(blind[:1], ["a"], blind, labels, k=3) == pytest.approx(1.0)
    assert knn_accuracy(blind[:1], ["b"], blind, labels, k=3) == pytest.approx(0.0)
    # Of two drawn, b is one in a fifth of the orders, and then the nearer in half of them.
    assert knn_accuracy(blind[:1], ["b"], blind, labels, k=2) == pytest.approx(0.1)


def test_a_blind_vote_of_many_is_worked_out_quickly() -> None:
    y = np.arange(3000) % 300
    blind = np.zeros((3000, 1), dtype=np.float32)
    share = knn_accuracy(blind[:40], y[:40], blind, y, k=25, scorer=constant)
    assert share == pytest.approx(1 / 300, rel=1e-9)


def test_an_item_finds_its_duplicate_and_never_itself() -> None:
    z = np.zeros((4, 2))
    # No query finds itself, so that "a" has no mate and each "b" has two among three.
    found = retrieval_metrics(z, ["a", "b", "b", "b"], recall_at=(1, 3))
    assert found.recall_at == {1: pytest.approx(2 / 3), 3: 1.0}
    # The nearest of item 0 is its duplicate 1, of another class.
    z[2:] = 5
    found = retrieval_metrics(z, ["a", "b", "a", "b"])
    assert (found.precision_at_1, found.recall_at[5]) == (0.0, 1.0)


def test_ties_of_votes_go_to_the_nearest_class() -> None:
    references, labels = np.array([[1.0], [2.0], [3.0], [4.0]]), ["b", "a", "a", "b"]
    query = np.array([[0.0]])
    assert knn_accuracy(query, ["b"], references, labels, k=4) == 1.0
    assert knn_accuracy(query, ["a"], references, labels, k=3) == 1.0
    assert knn_accuracy(query, ["b"], references, labels, k=2) == 1.0


def test_a_query_without_its_class_is_skipped_by_metrics_and_wrong_for_votes() -> None:
    queries, references = np.array([[0.0], [9.0]]), np.array([[0.0], [1.0]])
    found = retrieval_metrics(queries, ["a", "z"], references, ["a", "a"])
    assert (found.n_queries, found.n_skipped, found.map_at_r) == (1, 1, 1.0)
    assert knn_accuracy(queries, ["a", "z"], references, ["a", "a"], k=1) == 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.int64(2**24), np.int64(2**24 + 1)),
        (np.int64(2**62), np.int64(2**62 + 1)),
        (np.uint64(2**63), np.uint64(2**63 + 1)),
        ("class-1", "class-2"),
        (("a", 1), ("a", 2)),
        (None, "None"),
        (True, False),
    ],
)
def test_labels_are_compared_exactly(one: object, other: object) -> None:
    labels: np.ndarray = np.empty(4, dtype=object)
    labels[:] = [one, other, one, other]
    if not isinstance(one, tuple) and one is not None:
        labels = np.array(labels.tolist())
    z = np.array([[0.0], [1.0], [10.0], [11.0]])
    # The nearest is always of the other class.
    found = retrieval_metrics(z, labels, recall_at=(1, 3))
    assert found.recall_at == {1: 0.0, 3: 1.0}
    assert knn_accuracy(z, labels, k=1) == 0.0
    assert retrieval_metrics(z, labels, z, labels).precision_at_1 == 1.0


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (np.array([2**62]), np.array([2**62 + 1, 2**62], dtype=np.uint64), 0.0),
        (np.array([2**53 + 1]), np.array([2.0**53, 7.0]), None),
        (np.array([3], dtype=np.int8), np.array([3.0, 4.0]), 1.0),
        (np.array(["a"]), np.array(["a", None], dtype=object), 1.0),
        (np.array(["aa"]), np.array(["a", "aa"]), 0.0),
        (np.array([1]), np.array(["1", "2"]), None),
    ],
)
def test_labels_of_two_types_are_compared_exactly(
    own: np.ndarray, others: np.ndarray, expected: float | None
) -> None:
    z, references = np.array([[0.0]]), np.array([[0.0], [1.0]])
    if expected is None:
        with pytest.raises(InvalidDataError, match="class of at least one query"):
            retrieval_metrics(z, own, references, others)
    else:
        assert retrieval_metrics(z, own, references, others).precision_at_1 == expected


@pytest.mark.parametrize("within", [True, False])
def test_the_scorer_sees_at_most_a_block_of_queries(within: bool) -> None:
    z, y = blobs(53, 4)
    seen = []

    def scorer(a: Tensor, b: Tensor) -> Tensor:
        seen.append(len(a))
        assert len(b) == 53
        return a @ b.T

    others = () if within else (z, y)
    retrieval_metrics(z, y, *others, scorer=scorer, block_rows=8)
    assert max(seen) == 8
    assert sum(seen) == 53
    seen.clear()
    knn_accuracy(z, y, *others, scorer=scorer, block_rows=8)
    assert max(seen) == 8
    assert sum(seen) == 53


def test_arrays_lists_and_tensors_give_the_same() -> None:
    z, y = blobs(30, 3)
    expected = retrieval_metrics(z, y)
    learned = z.clone().requires_grad_()
    read_only = z.numpy().copy()
    read_only.flags.writeable = False
    for vectors in (learned, z.numpy()[::-1][::-1], z.tolist(), read_only, z.numpy().astype(">f4")):
        for labels in (y, y.tolist(), torch.from_numpy(y), y.astype(str)):
            assert retrieval_metrics(vectors, labels) == expected
    assert retrieval_metrics((z * 9).to(torch.uint8), y).n_queries == 30


def test_heads_are_scorers_and_scores_are_left_alone() -> None:
    z, y = blobs(40, 4)
    assert retrieval_metrics(z, y, scorer=EuclideanHead()) == retrieval_metrics(z, y)
    table = CosineHead()(z, z)
    before = table.clone()
    found = retrieval_metrics(z, y, scorer=lambda a, b: table if len(a) == 40 else a @ b.T)
    assert torch.equal(table, before)
    assert 0 < found.map_at_r <= found.r_precision <= 1


def test_a_result_goes_through_json() -> None:
    found = retrieval_metrics(*blobs(20, 2), recall_at=range(1, 3)).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert list(found["recall_at"]) == ["1", "2"]


Z, Y = np.arange(8.0).reshape(4, 2), np.array([0, 0, 1, 1])
NAN = np.where(Z == 3, np.nan, Z)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NAN, Y), "queries contains NaN"),
        ((Z * 1e39, Y), "queries contains .*float32"),
        ((Z, Y, np.where(Z == 3, np.inf, Z), Y), "references contains NaN, infinity"),
        ((Z[:0], Y[:0]), r"queries must hold at least one item; got .*\(0, 2\)"),
        ((Z, Y, Z[:0], Y[:0]), "references must hold at least one item"),
        ((Z[:1], Y[:1]), "queries must hold at least 2 items"),
        ((Z[:, 0], Y), r"queries must hold embeddings of shape \(n, d\); got shape \(4,\)"),
        ((Z, Y[:3]), r"query_labels must hold one label.*\(4,\); got shape \(3,\)"),
        ((Z, Y[:, None]), r"query_labels .*got shape \(4, 1\)"),
        ((Z, Y, Z, Y[:2]), "reference_labels must hold one label"),
        ((Z, Y, Z[:, :1], Y), r"one length; got shapes \(4, 2\) and \(4, 1\)"),
        ((Z, Y, Z), "must be given together, or neither; got references alone"),
        ((Z, Y, None, Y), "got reference_labels alone"),
        ((Z, [0.0, 0.0, np.nan, 1.0]), "query_labels must not hold NaN"),
        ((Z, np.array([{}, {}, {}, {}])), "hashable"),
    ],
)
def test_bad_data_are_named(arguments: tuple[object, ...], message: str) -> None:
    for function in (retrieval_metrics, knn_accuracy):
        with pytest.raises(InvalidDataError, match=message):
            function(*arguments)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recall_at": 5}, "recall_at must be a sequence of integers of at least 1; got 5"),
        ({"recall_at": "15"}, "recall_at must be a sequence.*'15'"),
        ({"recall_at": (1, 0)}, r"recall_at\[1\] must be an integer of at least 1; got 0"),
        ({"recall_at": (1.5,)}, r"recall_at\[0\] must be an integer"),
        ({"block_rows": 0}, "block_rows must be an integer of at least 1; got 0"),
        ({"scorer": "euclidean"}, "scorer must be a head or a callable.*'euclidean'"),
        ({"scorer": lambda a, b: a}, r"scorer must return .*\(4, 4\); got \(4, 2\)"),
        ({"scorer": lambda a, b: 3}, "scorer must return .*got int"),
    ],
)
def test_bad_parameters_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        retrieval_metrics(Z, Y, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, 4, 1.0])
def test_a_bad_number_of_neighbours_is_named(k: object) -> None:
    with pytest.raises(InvalidParameterError, match=r"k must be an integer in \[1, 3\]"):
        knn_accuracy(Z, Y, k=k)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "message"), [(float("nan"), "NaN or infinity"), (float("inf"), "NaN"), (1, "int64")]
)
def test_scores_that_cannot_be_ranked_are_refused(value: float, message: str) -> None:
    with pytest.raises(InvalidDataError, match=f"scorer must return finite floats; got.*{message}"):
        retrieval_metrics(Z, Y, scorer=lambda a, b: torch.full((len(a), len(b)), value))
