"""One door: every container gives the same figure, and what loses something is refused by name."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import (
    best_threshold,
    cosine_similarity,
    draw_episodes,
    episode_accuracy,
    fit_calibration,
    knn_accuracy,
    modified_hausdorff,
    one_shot_validation,
    retrieval_metrics,
    runs_accuracy,
    share_of_ties,
    verification_accuracy,
)
from siamesekit.heads import CosineHead


def frame(values: object, **options: object) -> object:
    return pytest.importorskip("pandas").DataFrame(values, **options)


def series(values: object, **options: object) -> object:
    return pytest.importorskip("pandas").Series(values, **options)


rng = np.random.default_rng(0)
Y = np.repeat(np.arange(10), 6)
E = (rng.normal(size=(10, 4))[Y] + rng.normal(size=(60, 4))).astype(np.float32)
GROUPS = Y // 5


def episodes(embeddings, labels, **options) -> float:
    given = {"scorer": CosineHead(), "way": 5, "n_episodes": 8, "random_state": 0, **options}
    return episode_accuracy(embeddings, labels, **given).value


def runs(embeddings, labels) -> float:
    support, query = embeddings[:20], embeddings[20:40]
    return runs_accuracy([(support, query, labels)], CosineHead()).value


EVALUATIONS = {
    "episodes": lambda e, y: episodes(e, y),
    "retrieval": lambda e, y: retrieval_metrics(e, y, scorer=CosineHead()).map_at_r,
    "knn": lambda e, y: knn_accuracy(e, y, scorer=CosineHead()),
}

CONTAINERS = {
    "list": lambda e: e.tolist(),
    "negative strides": lambda e: e[::-1].copy()[::-1],
    "big-endian": lambda e: e.astype(">f4"),
    "float64": lambda e: e.astype(float),
    "objects": lambda e: e.astype(object),
    "Fortran": np.asfortranarray,
    "data frame": frame,
    "reversed frame": lambda e: frame(e, index=np.arange(len(e))[::-1]),
    "tensor": torch.from_numpy,
    "tensor with gradient": lambda e: torch.from_numpy(e.copy()).requires_grad_(),
    "read-only": lambda e: np.frombuffer(e.tobytes(), np.float32).reshape(e.shape),
}

LABELS = {
    "list": lambda y: y.tolist(),
    "series": lambda y: series(y, index=np.arange(len(y))[::-1]),
    "categorical": lambda y: series(y.astype(str), dtype="category"),
    "tensor": torch.from_numpy,
    "strings": lambda y: y.astype(str),
    "string objects": lambda y: y.astype(str).astype(object),
    "negative strides": lambda y: y[::-1].copy()[::-1],
    "big-endian": lambda y: y.astype(">i8"),
    "floats": lambda y: y.astype(float),
    "long integers": lambda y: [2**62 + int(k) for k in y],
    "longer integers": lambda y: [2**80 + int(k) for k in y],
    "mixed": lambda y: [int(k) if k < 5 else f"{k}" for k in y],
    "pairs": lambda y: series([("class", int(k)) for k in y]),
}


@pytest.mark.parametrize("evaluate", EVALUATIONS.values(), ids=EVALUATIONS.keys())
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_every_container_of_embeddings_gives_one_figure(evaluate, container) -> None:
    assert evaluate(container(E), Y) == evaluate(E, Y)


@pytest.mark.parametrize("evaluate", EVALUATIONS.values(), ids=EVALUATIONS.keys())
@pytest.mark.parametrize("container", LABELS.values(), ids=LABELS.keys())
def test_every_container_of_labels_gives_one_figure(evaluate, container) -> None:
    assert evaluate(E, container(Y)) == pytest.approx(evaluate(E, Y))


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_runs_take_every_container(container) -> None:
    def figure(wrap) -> float:
        parts = (wrap(E[:10].copy()), wrap(E[10:30].copy()), np.arange(20) % 10)
        return runs_accuracy([parts], CosineHead()).value

    assert figure(container) == figure(lambda e: e)


def test_labels_of_a_list_are_not_made_strings() -> None:
    # To NumPy, [1, "1"] are two equal strings.
    z = [[0.0], [0.1], [5.0], [5.1]]
    assert retrieval_metrics(z, [1, "1", 1, "1"]).precision_at_1 == 0.0
    assert retrieval_metrics(z, [2**63, 2**63 + 1, 2**63, 2**63 + 1]).precision_at_1 == 0.0
    assert retrieval_metrics(z, [2**53, 0.5, 2**53 + 1, 0.5]).n_skipped == 2


LOSSY = {
    "masked": np.ma.masked_invalid(np.where(E > 2, np.nan, E)),
    "sparse": sparse.csr_array(E),
    "complex": E + 1j,
    "strings": E.astype(str),
    "strings as objects": E.astype(str).astype(object),
    "None": [[None, 1.0]] * 60,
    "ragged": [[1.0], [1.0, 2.0]],
    "dates": E.astype("M8[s]"),
    "too large": E.astype(float) * 1e300,
    "NaN": np.where(E > 2, np.nan, E),
    "one-dimensional": E[:, 0],
    "a number": 5,
    "no number at all": None,
    "no columns": E[:, :0],
    "huge integers": [[10**400, 1]] * 60,
}


@pytest.mark.parametrize("evaluate", EVALUATIONS.values(), ids=EVALUATIONS.keys())
@pytest.mark.parametrize("given", LOSSY.values(), ids=LOSSY.keys())
def test_embeddings_that_would_lose_something_are_refused(evaluate, given) -> None:
    with pytest.raises(InvalidDataError, match=r"embeddings|queries"):
        evaluate(given, Y)


@pytest.mark.parametrize("given", LOSSY.values(), ids=LOSSY.keys())
def test_runs_refuse_them_too(given) -> None:
    if given is LOSSY["one-dimensional"]:
        given = E[:, 0]
    for run in ((given, E[:5], [0] * 5), (E[:5], given, [0] * 60)):
        with pytest.raises(InvalidDataError, match=r"runs\[0\]"):
            runs_accuracy([run], CosineHead())


@pytest.mark.parametrize("evaluate", EVALUATIONS.values(), ids=EVALUATIONS.keys())
@pytest.mark.parametrize(
    "labels",
    [
        np.where(Y == 3, np.nan, Y),
        [None if k == 3 else float("nan") for k in Y],
        np.where(Y == 3, np.datetime64("NaT"), np.datetime64("2020-01-01")),
        lambda: series(Y, dtype="Int64").where(Y != 3),
        np.ma.masked_equal(Y, 3),
        Y[:, None],
        Y[:5],
        5,
        "abc",
        [{} for _ in Y],
        [[1]] * 59 + [[1, 2]],
    ],
)
def test_bad_labels_are_refused(evaluate, labels) -> None:
    given = labels() if callable(labels) else labels
    with pytest.raises(InvalidDataError, match="labels"):
        evaluate(E, given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"groups": 5, "within": True}, InvalidDataError, "groups must hold one entry an item"),
        ({"groups": np.where(Y == 1, np.nan, 0.0)}, InvalidDataError, "groups must not hold NaN"),
        ({"drawers": Y[:, None]}, InvalidDataError, "drawers must hold one entry an item"),
        ({"groups": np.arange(60) % 2, "within": True}, InvalidDataError, "0 lies in 0 and in 1"),
        ({"scorer": None}, InvalidParameterError, "scorer must be a head"),
        ({"scorer": "cosine"}, InvalidParameterError, "scorer must be a head"),
        ({"scorer": lambda a, b: a}, InvalidParameterError, "scorer must return a tensor"),
        ({"scorer": lambda a, b: np.zeros((len(a), len(b)))}, InvalidParameterError, "ndarray"),
        ({"scorer": lambda a, b: a @ b.T / 0}, InvalidDataError, "scorer must return finite"),
        ({"way": "5"}, InvalidParameterError, "way must be an integer"),
    ],
)
def test_bad_options_of_episodes_are_named(options, error, message) -> None:
    with pytest.raises(error, match=message):
        episodes(E, Y, **options)


def test_mixed_names_of_groups_are_names() -> None:
    groups = np.array(["a" if k < 5 else None for k in Y], dtype=object)
    assert 0 <= episodes(E, Y, groups=groups, within=True) <= 1
    assert draw_episodes(Y, way=5, groups=groups, within=True, n_episodes=2).left_out == ()


S, Q = E[:5], E[5:9]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (5, InvalidDataError, "runs must be"),
        ("runs", InvalidDataError, "runs must be"),
        ([(S, Q)], InvalidDataError, r"runs\[0\] must be .*got 2 of them"),
        ([S], InvalidDataError, r"runs\[0\] must be .*ndarray"),
        ([(S, Q, [0, 1, 2, 5])], InvalidDataError, r"answers of runs\[0\].*\[0, 4\]; got 5"),
        ([(S, Q, [0, 1, 2, -1])], InvalidDataError, "answers.*got -1"),
        ([(S, Q, [0.9, 1, 2, 3])], InvalidDataError, "answers.*got 0.9"),
        ([(S, Q, [True, False, True, True])], InvalidDataError, "answers.*got True"),
        ([(S, Q, ["0", "1", "2", "3"])], InvalidDataError, "answers.*got '0'"),
        ([(S, Q, [0, 1, np.nan, 2])], InvalidDataError, r"answers of"),
        ([(S, Q, [0, 1])], InvalidDataError, r"answers.*of shape \(4,\); got shape \(2,\)"),
        ([(S, Q[:, :2], [0, 1, 2, 3])], InvalidDataError, "one length"),
    ],
)
def test_bad_runs_are_named(given, error, message) -> None:
    with pytest.raises(error, match=message):
        runs_accuracy(given, CosineHead())


def test_runs_of_different_ways_have_one_chance() -> None:
    def constant(a: Tensor, b: Tensor) -> Tensor:
        return torch.zeros(len(a), len(b))

    several = ((E[:way], E[30:34], [0, 1, 1, 0]) for way in (2, 5, 5))
    found = runs_accuracy(several, constant)
    assert found.value == pytest.approx(found.chance) == pytest.approx((0.5 + 0.2 + 0.2) / 3)
    assert "2- to 5-way" in found.protocol


PAIRS = {
    "best_threshold": best_threshold,
    "verification_accuracy": lambda scores, same: verification_accuracy(scores, same, 0.5),
    "fit_calibration": fit_calibration,
}


@pytest.mark.parametrize("judge", PAIRS.values(), ids=PAIRS.keys())
@pytest.mark.parametrize(
    ("scores", "same", "message"),
    [
        ([0.1, 0.2], [-1, 1], "True and False"),
        ([0.1, 0.2], ["different", "same"], "True and False"),
        ([0.1, 0.2], ["0", "1"], "True and False"),
        ([0.1, 0.2], np.array(["0", "1"], dtype=object), "True and False"),
        ([0.1, 0.2], [2, 1], "True and False"),
        ([0.1, 0.2], [0.3, 1], "True and False"),
        ([0.1, 0.2], [np.nan, 1], "True and False"),
        ([0.1, 0.2], [None, True], "True and False"),
        ([0.1, 0.2], [0j, 1], "True and False"),
        ([0.1, 0.2], np.ma.array([0, 1], mask=[0, 1]), "masked"),
        (["0.1", "0.2"], [0, 1], "scores must hold real numbers"),
        (np.array(["0.1", 0.2], dtype=object), [0, 1], "scores must hold real numbers"),
        ([0.1 + 1j, 0.2], [0, 1], "scores must be real"),
        (np.ma.array([0.1, 0.2], mask=[0, 1]), [0, 1], "masked"),
        ([None, 0.2], [0, 1], "scores must hold real numbers"),
        ([np.inf, 0.2], [0, 1], "finite"),
        ([10**400, 0.2], [0, 1], "finite"),
        ([[0.1], [0.2]], [0, 1], "one shape"),
        ([[0.1], [0.2, 3]], [0, 1], "scores must be one regular array"),
        (0.1, 1, "one shape"),
        ([], [], "at least 1"),
        (None, None, "one shape"),
    ],
)
def test_bad_pairs_are_named(judge, scores, same, message) -> None:
    with pytest.raises(InvalidDataError, match=message):
        judge(scores, same)


@pytest.mark.parametrize("judge", PAIRS.values(), ids=PAIRS.keys())
def test_pairs_come_in_every_container(judge) -> None:
    scores, same = np.array([0.1, 0.9, 0.4, 0.7]), np.array([0, 1, 0, 1])

    def value(found) -> object:
        return getattr(found, "value", found)

    expected = value(judge(scores, same))
    for given in (scores.tolist(), torch.from_numpy(scores), series(scores), scores[::-1][::-1],
                  scores.astype(">f8"), scores.astype(object)):  # fmt: skip
        assert value(judge(given, same)) == expected
    true = same.astype(bool)
    for given in (same.tolist(), true, torch.from_numpy(true), series(same), same.astype(float),
                  same.astype(object), true.astype(object)):  # fmt: skip
        assert value(judge(scores, given)) == expected
    half = torch.tensor(scores, dtype=torch.bfloat16)
    assert value(judge(half, same)) == value(judge(half.float(), same))


@pytest.mark.parametrize("threshold", [np.nan, np.inf, True, 1j, [0.1], "0.1", None])
def test_a_threshold_is_a_finite_number(threshold) -> None:
    with pytest.raises(InvalidParameterError, match="threshold must be a finite number"):
        verification_accuracy([0.1, 0.2], [0, 1], threshold)


@pytest.mark.parametrize(
    ("scores", "answers", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 3]), r"answers must lie in \[0, 2\]; got 3"),
        (torch.zeros(2, 3), torch.tensor([0, -1]), "got -1"),
        (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), "answers must be integers"),
        (torch.zeros(2, 3), torch.tensor([True, False]), "answers must be integers"),
        (torch.zeros(2, 3), torch.tensor([0]), r"of shape \(2,\)"),
        (np.zeros((2, 3)), torch.tensor([0, 1]), "scores must be a tensor; got ndarray"),
        (torch.zeros(2, 3), [0, 1], "answers must be a tensor; got list"),
        (torch.zeros(2, 0), torch.tensor([0, 1]), "way at least 1"),
        (torch.zeros(2, 3).long(), torch.tensor([0, 1]), "scores must be floats"),
    ],
)
def test_bad_trials_are_named(scores, answers, message) -> None:
    with pytest.raises(InvalidDataError, match=message):
        share_of_ties(scores, answers)


def test_what_is_unknown_is_worth_nothing() -> None:
    nan = float("nan")
    scores = torch.tensor([[nan, nan], [-torch.inf, nan], [-torch.inf, -torch.inf]])
    assert share_of_ties(scores, torch.tensor([0, 0, 0])).tolist() == [0.0, 1.0, 0.5]


def test_bad_images_of_baselines_are_named() -> None:
    with pytest.raises(InvalidDataError, match="a must be a dense tensor"):
        cosine_similarity(E, torch.from_numpy(E))  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError, match="b must be a dense tensor of shape"):
        cosine_similarity(torch.from_numpy(E), torch.zeros(3))
    with pytest.raises(InvalidDataError, match="a must be finite"):
        modified_hausdorff(np.full((1, 3, 3), np.nan), np.ones((1, 3, 3)))


def test_a_validation_is_refused_when_it_is_made() -> None:
    with pytest.raises(InvalidDataError, match="way=20 is larger"):
        one_shot_validation(torch.from_numpy(E), Y)
    with pytest.raises(InvalidDataError, match="labels must hold one entry an item"):
        one_shot_validation(torch.from_numpy(E), Y[:5], way=5)
