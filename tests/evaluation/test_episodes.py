"""Episodes: ties share, query and support differ, chance is chance."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit._types import Aggregate
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import draw_episodes, episode_accuracy, score_episodes, share_of_ties
from siamesekit.gallery import Gallery
from siamesekit.heads import CosineHead

LABELS = np.repeat(np.arange(24), 6)
GROUPS = LABELS // 6
DRAWERS = np.tile(np.arange(6), 24)


def constant(a: Tensor, b: Tensor) -> Tensor:
    return torch.zeros(len(a), len(b))


def by_label(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, :1] == b[:, 0]).float()


def vectors() -> Tensor:
    return torch.from_numpy(LABELS)[:, None].float()


@given(way=st.integers(2, 6), shot=st.integers(1, 3), queries=st.integers(1, 3),
       within=st.booleans(), drawers=st.booleans(), seed=st.integers(0, 99))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_episodes_are_what_they_say(
    way: int, shot: int, queries: int, within: bool, drawers: bool, seed: int
) -> None:
    episodes = draw_episodes(
        LABELS, way=way, shot=shot, queries=queries, n_episodes=5, groups=GROUPS, within=within,
        drawers=DRAWERS if drawers else None, random_state=seed,
    )  # fmt: skip
    assert episodes.support.shape == (5, way, shot)
    assert episodes.query.shape == (5, way, queries)
    for support, query in zip(episodes.support, episodes.query, strict=True):
        classes = LABELS[support[:, 0]]
        assert len(set(classes)) == way
        assert (LABELS[support] == classes[:, None]).all()
        assert (LABELS[query] == classes[:, None]).all()
        assert len(set(support.flatten()) | set(query.flatten())) == way * (shot + queries)
        if within:
            assert len(set(GROUPS[support.flatten()])) == 1
        if drawers:
            assert (DRAWERS[support] == DRAWERS[support[0]]).all()
            assert not set(DRAWERS[support.flatten()]) & set(DRAWERS[query.flatten()])


@given(way=st.integers(2, 20), shot=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_constant_scorer_gets_exactly_chance_and_a_perfect_one_all(
    way: int, shot: int, seed: int
) -> None:
    options = {"way": way, "shot": shot, "n_episodes": 4, "random_state": seed}
    chance = episode_accuracy(vectors(), LABELS, scorer=constant, **options)  # type: ignore[arg-type]
    assert chance.value == pytest.approx(1 / way, abs=1e-12)
    perfect = episode_accuracy(vectors(), LABELS, scorer=by_label, **options)  # type: ignore[arg-type]
    assert perfect.value == 1.0


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=5))
def test_ties_share(scores: list[list[int]]) -> None:
    table = torch.tensor(scores, dtype=torch.float32)
    worth = share_of_ties(table, torch.zeros(len(scores), dtype=torch.int64))
    for row, value in zip(scores, worth.tolist(), strict=True):
        assert value == (1 / row.count(max(row)) if row[0] == max(row) else 0)


def test_nan_never_wins() -> None:
    scores = torch.tensor([[float("nan"), 0.0], [0.0, float("nan")]])
    assert share_of_ties(scores, torch.tensor([0, 0])).tolist() == [0.0, 1.0]


def test_a_table_of_scores_gives_what_single_episodes_give(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.randn(len(LABELS), 4, generator=torch.Generator().manual_seed(0))

    def score(a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T

    episodes = draw_episodes(LABELS, way=5, shot=2, queries=2, n_episodes=30, random_state=0)
    table = score_episodes(z, episodes, score)
    monkeypatch.setattr("siamesekit.evaluation.episodes._TABLE_ITEMS", 0)
    np.testing.assert_allclose(score_episodes(z, episodes, score), table)


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
def test_a_class_scores_as_it_does_in_a_gallery(aggregate: Aggregate) -> None:
    z = torch.randn(len(LABELS), 4, generator=torch.Generator().manual_seed(0))
    head = CosineHead()
    episodes = draw_episodes(LABELS, way=5, shot=3, queries=2, n_episodes=20, random_state=0)
    expected = []
    for support, query in zip(episodes.support, episodes.query, strict=True):
        gallery = Gallery(head, aggregate)
        gallery.enroll(z[support.ravel()], np.arange(5).repeat(3))
        scores = gallery.class_scores(z[query.ravel()])
        expected.append((scores.argmax(1).numpy() == np.arange(5).repeat(2)).mean())
    got = score_episodes(z, episodes, head, aggregate)
    np.testing.assert_allclose(got, expected)
    assert 0 < got.mean() < 1


def test_an_unknown_aggregate_is_named() -> None:
    with pytest.raises(InvalidParameterError, match="aggregate"):
        episode_accuracy(vectors(), LABELS, scorer=constant, way=5, aggregate="sum")  # type: ignore[arg-type]


def test_equal_seeds_give_equal_results_and_leave_global_state_alone() -> None:
    z = torch.randn(len(LABELS), 4, generator=torch.Generator().manual_seed(0))
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    values = [
        episode_accuracy(z, LABELS, scorer=lambda a, b: a @ b.T, way=5, random_state=seed).value
        for seed in (3, 3, 4)
    ]
    assert values[0] == values[1] != values[2]
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_small_groups_are_left_out_and_named() -> None:
    keep = ~((GROUPS == 2) & (LABELS % 6 > 2))
    result = episode_accuracy(
        vectors()[torch.from_numpy(keep)], LABELS[keep], scorer=by_label, way=5,
        groups=GROUPS[keep], within=True, n_episodes=9, random_state=0,
    )  # fmt: skip
    assert "left out: 2" in result.protocol


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"way": 25}, InvalidDataError, "way=25 is larger than the classes at hand"),
        ({"way": 7, "groups": GROUPS, "within": True}, InvalidDataError, r"way=7.*at most 6"),
        ({"shot": 6}, InvalidDataError, "shot \\+ queries = 7"),
        ({"within": True}, InvalidDataError, "needs groups"),
        ({"groups": GROUPS[:5]}, InvalidDataError, "groups must hold one entry"),
        ({"way": 1}, InvalidParameterError, "way"),
        ({"n_episodes": 0}, InvalidParameterError, "n_episodes"),
    ],
)
def test_bad_requests_are_named(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        episode_accuracy(vectors(), LABELS, scorer=constant, **{"way": 5, **options})  # type: ignore[arg-type]


def test_bad_embeddings_are_refused() -> None:
    broken = vectors()
    broken[3] = float("nan")
    with pytest.raises(InvalidDataError, match="NaN"):
        episode_accuracy(broken, LABELS, scorer=constant)
    with pytest.raises(InvalidDataError, match="labels must hold one entry an embedding"):
        episode_accuracy(vectors()[:50], LABELS, scorer=constant)
