"""A promise to strangers: thresholds, identification with unknown."""

import copy
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from siamesekit import SiameseClassifier
from siamesekit._types import Aggregate
from siamesekit.errors import InvalidDataError, InvalidParameterError, TooFewTrialsError
from siamesekit.gallery import Gallery, Threshold, TooFewPeopleWarning, _look
from siamesekit.gallery._storage import StorageName
from siamesekit.heads import EuclideanHead

DIM = 8


class Crowd:
    """People of a known kind: each is a place, each item of theirs lies near it."""

    def __init__(self, seed: int, spread: float = 0.5) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._spread = spread
        self._n = 0

    def people(self, n: int, each: int, centre: float = 0.0) -> tuple[Tensor, np.ndarray]:
        places = centre + torch.randn(n, DIM, generator=self._generator)
        noise = torch.randn(n * each, DIM, generator=self._generator)
        labels = np.arange(self._n, self._n + n).repeat(each)
        self._n += n
        return places.repeat_interleave(each, 0) + self._spread * noise, labels


def gallery(crowd: Crowd, n: int = 10, each: int = 2, people: int = 150) -> Gallery:
    made = Gallery("euclidean")
    made.enroll(*crowd.people(n, each))
    if people:
        made.set_background(*crowd.people(people, 3))
    return made


def fpir(made: Gallery, crowd: Crowd, threshold: float) -> float:
    """Return the rate of many strangers, each of whom comes once: as good as exact."""
    bests = made.class_scores(crowd.people(5000, 1)[0]).amax(1)
    return float((bests >= threshold).float().mean())


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
@pytest.mark.parametrize("each", [1, 3])
def test_the_promise_is_kept(aggregate: str, each: int) -> None:
    rates, uppers = [], []
    for seed in range(12):
        crowd = Crowd(seed)
        made = Gallery("euclidean", aggregate)  # type: ignore[arg-type]
        made.enroll(*crowd.people(10, each))
        made.set_background(*crowd.people(150, 3))
        threshold = made.threshold(fpir=0.05)
        assert threshold.estimate < threshold.upper <= 0.05 + 1e-9
        rates.append(fpir(made, crowd, threshold))
        uppers.append(threshold.upper)
    # With a confidence of 95 % each; more than two of twelve beyond it would be 1 in 50.
    assert sum(rate > 0.05 for rate in rates) <= 2
    assert 0.005 < np.mean(rates) < 0.045


def test_a_background_of_another_kind_is_rehearsed() -> None:
    rehearsed, searched = [], []
    for seed in range(6):
        crowd = Crowd(seed)
        made = Gallery("euclidean")
        made.enroll(*crowd.people(20, 2))
        # These lie elsewhere, and are less like those enrolled than a newcomer is.
        made.set_background(*crowd.people(150, 3, centre=1.0))
        rehearsed.append(fpir(made, crowd, made.threshold(fpir=0.05)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_look, "FEWEST", 1000)
            searched.append(fpir(made, crowd, copy.deepcopy(made).threshold(fpir=0.05)))
    assert np.mean(rehearsed) < 0.04 < 0.05 < np.mean(searched)


def test_those_enrolled_who_are_more_alike_than_the_background_raise_the_threshold() -> None:
    crowd = Crowd(0)
    made = Gallery("euclidean")
    made.enroll(*crowd.people(30, 2))
    vectors, labels = crowd.people(150, 3)
    made.set_background(1.5 * vectors, labels)
    threshold = made.threshold(fpir=0.05)
    assert threshold.shift > 0.05
    assert fpir(made, crowd, threshold) < 0.05
    made.set_background(vectors, labels)
    assert made.threshold(fpir=0.05).shift < threshold.shift


def kinds(seed: int, n: int, each: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Return people of kinds: each kind is a region, and as large as it happens to be."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(n, 1, 1, DIM, generator=generator)
    sizes = torch.exp(0.6 * torch.randn(n, 1, 1, 1, generator=generator))
    places = centres + sizes * torch.randn(n, each, 1, DIM, generator=generator)
    vectors = places + 0.3 * torch.randn(n, each, 2, DIM, generator=generator)
    labels = np.arange(n * each).repeat(2) + 10_000 * seed
    return vectors.flatten(0, 2), labels, np.arange(n).repeat(2 * each)


def test_kinds_are_part_of_the_promise() -> None:
    rates: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(8):
        theirs, own, _ = kinds(1000 + seed, 10, 100)
        made = Gallery("euclidean")
        enrolled = np.isin(own, np.random.default_rng(seed).permutation(np.unique(own))[:20])
        made.enroll(theirs[torch.from_numpy(enrolled)][::2], own[enrolled][::2])
        strangers = theirs[torch.from_numpy(~enrolled)]
        vectors, labels, groups = kinds(seed, 10, 25)
        for told in (True, False):
            made.set_background(vectors, labels, groups if told else None)
            bests = made.class_scores(strangers).amax(1)
            rates[told].append(float((bests >= made.threshold(0.05)).float().mean()))
    # Of eight, more than two beyond a bound of 95 % would be 1 in 170.
    assert sum(rate > 0.05 for rate in rates[True]) <= 2
    assert np.mean(rates[True]) < np.mean(rates[False])


def test_searches_that_are_taken_in_another_way() -> None:
    crowd = Crowd(0, spread=0.3)
    away = torch.zeros(DIM)
    away[0] = 3.0  # what the other camera does

    def both(n: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
        vectors, labels = crowd.people(n, 2)
        searching = np.arange(2 * n) % 2 == 1
        return vectors + torch.from_numpy(searching)[:, None] * away, labels, searching

    vectors, labels, _ = both(10)
    made = Gallery("euclidean")
    made.enroll(vectors[::2], labels[::2])
    people, names, search = both(200)
    made.set_background(people, names, searching=search)
    told = made.threshold(0.05)
    strangers = both(2000)[0][1::2]
    assert 0.001 < float((made.class_scores(strangers).amax(1) >= told).float().mean()) < 0.05
    assert told.n_people == 200  # those enrolled are not as searches are
    made.set_background(people, names)
    assert made.threshold(0.05) > told + 0.2
    # Somebody who was never enrolled searches too, and whoever never searches is enrolled.
    some = np.r_[0:100, 101:200:2, 200:300:2, 300:400]
    made.set_background(people[torch.from_numpy(some)], names[some], searching=search[some])
    assert made.threshold(0.05, gallery_size=50).n_people == 150


def test_groups_and_searching_are_kept(tmp_path: Path) -> None:
    vectors, labels, groups = kinds(0, 6, 20)
    searching = np.arange(len(labels)) % 2 == 1
    made = Gallery("euclidean")
    made.enroll(*Crowd(0).people(5, 1))
    plain = made.set_background(vectors, labels + 1000) or made.threshold(0.1)
    made.set_background(vectors, labels + 1000, groups, searching)
    before = made.threshold(0.1)
    assert before != plain
    made.save(tmp_path / "gallery")
    others = [Gallery.load(tmp_path / "gallery"), copy.deepcopy(made)]
    others.append(pickle.loads(pickle.dumps(made)))
    for other in others:
        assert other.threshold(0.1) == before
        # Whoever goes, goes with what was known of them.
        other.enroll(vectors[:1], [1000])
        other.forget(1000)
        assert other.threshold(0.1).n_people == before.n_people - 1


def test_one_group_that_is_left_is_said() -> None:
    vectors, labels, groups = kinds(0, 3, 30)
    made = Gallery("euclidean")
    made.enroll(vectors[torch.from_numpy(groups > 0)], labels[groups > 0])
    made.set_background(vectors, labels, groups)
    with pytest.warns(TooFewPeopleWarning, match="are of one group: how much groups differ"):
        assert made.threshold(0.1).n_people == 90
    made.forget(int(labels[groups == 1][0]))  # out of the background too


def test_who_cannot_be_enrolled_fills_no_gallery() -> None:
    crowd = Crowd(0)
    made = gallery(crowd, people=0)
    vectors, labels = crowd.people(100, 2)
    made.set_background(vectors, labels, searching=np.arange(200) > 0)
    here, beyond = made.threshold(0.3), made.threshold(0.3, gallery_size=30)
    assert beyond > here
    with pytest.raises(TooFewTrialsError, match="a gallery of 1000 with"):
        made.threshold(0.3, gallery_size=1000)


class Far(EuclideanHead):
    """Calls what is far off as unlike as can be."""

    far = -torch.inf

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        scores = super().forward(a, b)
        return torch.where(scores < -5, self.far, scores)


def test_scores_that_are_not_finite_among_the_background() -> None:
    crowd = Crowd(0)
    made = Gallery(Far())
    made.enroll(*crowd.people(10, 1))
    made.set_background(*crowd.people(100, 1))
    assert np.isfinite(made.threshold(0.1))
    plain = gallery(Crowd(0), each=1, people=100)
    plain.head = Far()
    plain.head.far = torch.nan
    with pytest.raises(InvalidDataError, match="finite"):
        plain.threshold(0.1)


def test_bad_groups_and_searching_are_named() -> None:
    made = gallery(Crowd(0))
    before = made.threshold()
    vectors, labels, groups = kinds(0, 3, 10)
    bad: list[tuple[dict[str, object], str]] = [
        ({"groups": groups[:5]}, "60 items were given 5"),
        ({"groups": np.zeros(60)}, "at least 2 groups"),
        ({"groups": np.arange(60)}, "one group a person; 0 is of several"),
        ({"groups": np.full(60, np.nan)}, "groups must"),
        ({"searching": np.ones(60, dtype=bool)}, "two kinds of item apart.* 60 as searches"),
        ({"searching": np.arange(60) % 2}, "True or False for each of 60 items"),
        ({"searching": [True, False]}, r"shape \(2,\)"),
    ]
    for given, message in bad:
        with pytest.raises(InvalidDataError, match=message):
            made.set_background(vectors, labels, **given)  # type: ignore[arg-type]
    assert made.threshold() == before


def test_the_threshold_follows_those_who_join_and_leave() -> None:
    crowd = Crowd(0)
    made = gallery(crowd, n=5)
    few = made.threshold()
    made.enroll(*crowd.people(60, 2))
    many = made.threshold()
    assert many > few
    assert (few.gallery_size, many.gallery_size) == (5, 65)
    made.forget(made.classes[5:])
    assert made.threshold() == few
    assert made.threshold(fpir=0.2) < few


def test_what_was_worked_out_is_kept_for_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    made = gallery(Crowd(0))
    first = made.threshold()
    monkeypatch.setattr(Gallery, "_ranked", None)
    assert made.threshold() == first
    assert made.threshold(fpir=0.1) < first


@pytest.mark.parametrize("size", [1, 5, 10, 40, 100])
def test_galleries_of_other_sizes(size: int) -> None:
    crowd = Crowd(1)
    made = gallery(crowd, n=10, each=1)
    threshold = made.threshold(fpir=0.05, gallery_size=size)
    rates = []
    for _ in range(5):
        other = Gallery("euclidean")
        other.enroll(*crowd.people(size, 1))
        rates.append(fpir(other, crowd, threshold))
    assert 0.001 < np.mean(rates) < 0.06
    assert threshold.gallery_size == size


def test_a_gallery_beyond_all_people_is_bounded_by_proportion() -> None:
    made = gallery(Crowd(1), people=300)
    largest = made.threshold(0.05, gallery_size=309)
    beyond = made.threshold(0.05, gallery_size=618)
    assert beyond > largest
    assert beyond.upper <= 0.05 + 1e-9
    with pytest.raises(TooFewTrialsError, match="a gallery of 100000 with a confidence"):
        made.threshold(0.05, gallery_size=100_000)


def test_an_empty_gallery_can_be_planned_for() -> None:
    made = Gallery("euclidean")
    made.set_background(*Crowd(0).people(100, 2))
    assert made.threshold(gallery_size=20) > made.threshold(gallery_size=5)
    with pytest.raises(InvalidDataError, match="the gallery is empty"):
        made.threshold()


def test_the_rule_of_3() -> None:
    crowd = Crowd(0)
    made = Gallery("euclidean")
    made.enroll(*crowd.people(5, 1))
    made.set_background(*crowd.people(50, 1))
    # 55 people who come once each: 1 - 0.05^(1/55) = 5.3 %.
    with pytest.raises(TooFewTrialsError, match=r"55 people.*confidence of 0.94 at most.*0.95 was"):
        made.threshold(fpir=0.05)
    assert made.threshold(fpir=0.06).least == pytest.approx(1 - 0.05 ** (1 / 55))
    with pytest.warns(TooFewPeopleWarning, match="confidence of 0.94 only"):
        threshold = made.threshold(fpir=0.05, confidence=None)
    assert threshold.confidence == pytest.approx(1 - 0.95**55)
    assert threshold.estimate == 0


def test_without_strangers_there_is_no_threshold() -> None:
    crowd = Crowd(0)
    made = gallery(crowd, n=1, people=0)
    with pytest.raises(TooFewTrialsError, match="set_background takes such people"):
        made.threshold()
    with pytest.raises(TooFewTrialsError, match="some who are not enrolled, or at least 2"):
        made.identify(crowd.people(1, 1)[0], fpir=0.05)


def test_those_enrolled_are_strangers_to_the_others() -> None:
    crowd = Crowd(3)
    made = gallery(crowd, n=200, people=0)
    threshold = made.threshold(0.05)
    assert threshold.n_people == 200
    assert fpir(made, crowd, threshold) < 0.05


def test_a_person_of_the_background_who_joins_is_no_stranger() -> None:
    crowd = Crowd(0)
    made = gallery(crowd)
    before = made.threshold()
    vectors, labels = made.background  # type: ignore[misc]
    some = labels < labels[0] + 20
    made.enroll(vectors[torch.from_numpy(some)], labels[some])
    assert made.threshold().n_people == before.n_people
    assert made.threshold().estimate < 0.05
    made.set_background(vectors[:0], [])
    assert made.background is None


def test_identify_ranks_scores_and_refuses() -> None:
    crowd = Crowd(0, spread=0.05)
    made = gallery(crowd)
    vectors, labels = made.vectors, made.labels
    found = made.identify(vectors, k=3, fpir=0.05, slope=2.0)
    assert found.labels[:, 0].tolist() == labels.tolist()
    assert found.labels.shape == found.scores.shape == (20, 3)
    scores = made.class_scores(vectors).sort(1, descending=True).values
    torch.testing.assert_close(torch.from_numpy(found.scores), scores[:, :3])
    assert not found.unknown.any()
    assert isinstance(found.threshold, Threshold)
    strangers = made.identify(crowd.people(50, 1)[0], fpir=0.05, slope=2.0)
    assert strangers.unknown.mean() > 0.9
    # It says unknown where unknown is likeliest.
    assert strangers.probabilities is not None
    assert strangers.probability_unknown is not None
    likelier = strangers.probability_unknown > strangers.probabilities[:, 0]
    assert (likelier == strangers.unknown).all()


def test_probabilities_of_all_and_the_unknown_sum_to_1() -> None:
    crowd = Crowd(0)
    made = gallery(crowd)
    queries = crowd.people(7, 1)[0]
    found = made.identify(queries, k=99, fpir=0.05, slope=3.0)
    assert found.labels.shape == (7, 10)
    assert found.probabilities is not None
    assert found.probability_unknown is not None
    np.testing.assert_allclose(found.probabilities.sum(1) + found.probability_unknown, 1)
    closed = made.identify(queries, k=10, slope=3.0)
    assert closed.probabilities is not None
    wanted = made.class_probabilities(queries, 3.0)
    order = np.searchsorted(made.classes, closed.labels)
    np.testing.assert_allclose(np.take_along_axis(wanted, order, 1), closed.probabilities)
    assert closed.threshold is None
    assert not closed.unknown.any()
    assert made.identify(queries).probabilities is None


@pytest.mark.parametrize("block", [1, 2**21])
def test_ties_are_ranked_as_predict_draws_them(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamesekit.gallery._prepared._SCORES", block)
    made = Gallery(EuclideanHead())
    made.enroll(torch.ones(6, 2), list("abcdef"))
    made.enroll(torch.zeros(1, 2), ["z"])
    queries = torch.stack([torch.arange(40.0) / 100 + 1, torch.ones(40)], 1)
    found = made.identify(queries, k=7)
    assert found.labels[:, 0].tolist() == made.best_classes(queries).tolist()
    assert len(set(found.labels[:, 0].tolist())) > 3
    assert (found.labels[:, 6] == "z").all()
    assert all(sorted(row) == list("abcdefz") for row in found.labels.tolist())
    assert made.identify(queries, k=2).labels.tolist() == found.labels[:, :2].tolist()


def test_a_head_that_cannot_tell_refuses_all() -> None:
    made = Gallery("euclidean")
    made.enroll(torch.ones(30, DIM), np.arange(30))
    made.set_background(torch.ones(100, DIM), np.arange(100, 200))
    found = made.identify(torch.ones(3, DIM), fpir=0.05)
    assert found.unknown.all()


def test_no_queries() -> None:
    found = gallery(Crowd(0)).identify(torch.empty(0, DIM), fpir=0.05, slope=1.0)
    assert found.labels.shape == (0, 5)
    assert len(found) == 0


@pytest.mark.parametrize("fpir", [0, 1, -0.1, float("nan"), "5%", None, True])
def test_what_cannot_be_promised(fpir: object) -> None:
    with pytest.raises(InvalidParameterError, match="fpir must be a finite number"):
        gallery(Crowd(0)).threshold(fpir)  # type: ignore[arg-type]


def test_bad_arguments_are_named() -> None:
    crowd = Crowd(0)
    made = gallery(crowd)
    queries = crowd.people(2, 1)[0]
    with pytest.raises(InvalidParameterError, match="k must be an integer of at least 1"):
        made.identify(queries, k=0)
    with pytest.raises(InvalidParameterError, match="gallery_size must be an integer"):
        made.threshold(gallery_size=0)
    with pytest.raises(InvalidParameterError, match="confidence must be"):
        made.threshold(confidence=1.0)
    with pytest.raises(InvalidParameterError, match="slope must be"):
        made.identify(queries, slope=0.0)
    queries[1, 0] = float("nan")
    with pytest.raises(InvalidDataError, match="position 1"):
        made.identify(queries)
    before = made.threshold()
    for vectors, labels, message in [
        (queries, [1, 2], "finite"),
        (torch.ones(2, DIM), [1], "2 items were given 1"),
        (torch.ones(2, DIM + 1), [1, 2], "must have 8 numbers an embedding"),
        (np.array(["a"]), [1], "must be a float tensor"),
    ]:
        with pytest.raises(InvalidDataError, match=message):
            made.set_background(vectors, labels)  # type: ignore[arg-type]
    assert made.threshold() == before


def test_a_threshold_is_a_number_that_can_be_copied() -> None:
    threshold = gallery(Crowd(0)).threshold()
    for other in (copy.deepcopy(threshold), pickle.loads(pickle.dumps(threshold))):
        assert other == threshold == threshold.value
        assert other.upper == threshold.upper
    assert (np.array([float(threshold), -99.0]) >= threshold).tolist() == [True, False]
    assert "promised=0.05" in repr(threshold)


def test_a_copy_keeps_the_background() -> None:
    made = gallery(Crowd(0))
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.threshold() == made.threshold()


def test_labels_of_another_kind_are_nobody_enrolled() -> None:
    crowd = Crowd(0)
    made = gallery(crowd, people=0)
    vectors, labels = crowd.people(100, 2)
    made.set_background(vectors, labels.astype(str))
    assert made.threshold().n_people == 110


def test_threads_ask_while_others_enroll() -> None:
    crowd = Crowd(0)
    made = gallery(crowd)
    queries, new = crowd.people(3, 1)[0], crowd.people(30, 1)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(20):
                found = made.identify(queries, fpir=0.05)
                assert found.threshold is not None
                assert found.labels.shape[1] == 5
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for k in range(30):
        made.enroll(new[0][k : k + 1], new[1][k : k + 1])
    for thread in threads:
        thread.join()
    assert not errors
    assert made.threshold().gallery_size == 40


def test_who_was_trained_on_is_no_stranger() -> None:
    crowd = Crowd(0)
    made = gallery(crowd, n=80, people=0)
    assert made.threshold().n_people == 80
    made.set_trained(made.classes[:15])
    assert made.threshold().n_people == 65
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.threshold().n_people == 65
    made.set_trained(made.classes)
    with pytest.raises(TooFewTrialsError, match="80 enrolled who were trained on"):
        made.threshold()


def test_among_some_classes_only() -> None:
    made = gallery(Crowd(0, spread=0.05))
    found = made.identify(made.vectors, k=9, fpir=0.05, classes=[3, 4])
    assert found.labels.shape == (20, 2)
    assert found.unknown.tolist() == (~np.isin(made.labels, [3, 4])).tolist()


def far_people(crowd: Crowd, n: int, each: int) -> tuple[Tensor, np.ndarray]:
    vectors, labels = crowd.people(n, each)
    return 6 * vectors, labels


def test_unknowns_become_people() -> None:
    crowd = Crowd(0, spread=0.05)
    made = Gallery("euclidean")
    made.enroll(*far_people(crowd, 5, 2))
    made.set_background(*far_people(crowd, 300, 2))
    known, new = made.vectors[:4], far_people(crowd, 3, 5)
    order = np.random.default_rng(0).permutation(15)
    probes = torch.cat([new[0][torch.from_numpy(order)], known])
    with pytest.raises(InvalidDataError, match="remember=True"):
        made.group_unknown()
    assert made.identify(probes, fpir=0.01).unknown.tolist() == [True] * 15 + [False] * 4
    assert len(made.refused) == 0
    given = made.group_unknown(probes, fpir=0.01)
    assert given.groups[15:].tolist() == [-1] * 4
    made.identify(probes, fpir=0.01, remember=True)
    groups = made.group_unknown(fpir=0.01)
    assert groups.groups.tolist() == given.groups[:15].tolist()
    assert groups.n_groups == 3
    for number in range(3):
        assert len(set(new[1][order][groups.positions(number)].tolist())) == 1
    made.enroll_group(groups, 0, 1000)
    assert len(made.refused) == 10
    someone = probes[groups.positions(0)]
    assert (made.identify(someone, 1, fpir=0.01).labels == 1000).all()
    with pytest.raises(InvalidParameterError, match=r"number must be an integer in \[0, 2\]"):
        made.enroll_group(groups, 3, "x")
    with pytest.raises(InvalidDataError, match="those of remembered items"):
        made.enroll_group(given, 0, 1001)
    made.forget_refused()
    assert len(made.refused) == 0
    assert pickle.loads(pickle.dumps(made)).refused.shape == (0, 0)


def test_groups_of_none_and_of_one() -> None:
    crowd = Crowd(0, spread=0.05)
    made = Gallery("euclidean")
    made.enroll(*far_people(crowd, 5, 2))
    made.set_background(*far_people(crowd, 300, 2))
    assert made.group_unknown(made.vectors).n_groups == 0
    stranger = far_people(crowd, 1, 1)[0]
    one = made.group_unknown(torch.cat([made.vectors[:1], stranger]))
    assert one.groups.tolist() == [-1, 0]
    assert one.n_groups == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamesekit.gallery.grouping.MOST_REFUSED", 3)
    made = gallery(Crowd(0), each=1)
    far = 50 + torch.arange(5.0)[:, None] * torch.ones(DIM)
    for row in far:
        made.identify(row[None], fpir=0.05, remember=True)
    assert made.refused.tolist() == far[2:].tolist()


def test_a_file_keeps_the_promise(tmp_path: Path) -> None:
    made = gallery(Crowd(0), n=20)
    made.set_trained(made.classes[:5])
    made.save(tmp_path / "gallery")
    loaded = Gallery.load(tmp_path / "gallery")
    assert loaded.threshold() == made.threshold()
    assert loaded.threshold().n_people == 165


def test_items_are_embedded_once() -> None:
    clf = SiameseClassifier(torch.nn.Identity(), "euclidean", max_epochs=0, enroll_training=False)
    crowd = Crowd(0, spread=0.05)
    clf.fit(*(np.asarray(x) for x in far_people(crowd, 5, 2)))
    made = Gallery(estimator=clf)
    made.enroll(np.asarray(far_people(crowd, 5, 2)[0]), np.arange(5).repeat(2))
    made.set_background(*(np.asarray(x) for x in far_people(crowd, 300, 2)))
    new = np.asarray(far_people(crowd, 3, 5)[0])
    made.identify(new, fpir=0.01, remember=True)
    groups = made.group_unknown(new, fpir=0.01)
    assert groups.groups.tolist() == made.group_unknown(fpir=0.01).groups.tolist()
    made.enroll_group(made.group_unknown(fpir=0.01), 0, 99)
    assert (made.identify(new, 1).labels == 99).sum() >= 5


def test_of_many_classes_some_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(2)
    made = gallery(crowd, n=200, each=1, people=300)
    whole = made.threshold(fpir=0.05, gallery_size=5)
    other = copy.deepcopy(made)
    monkeypatch.setattr(_look, "_CELLS", 1100 * 40)
    some = other.threshold(fpir=0.05, gallery_size=5)
    assert some != whole
    rates = []
    for threshold in (whole, some):
        small = Gallery("euclidean")
        small.enroll(*crowd.people(5, 1))
        rates.append(fpir(small, crowd, threshold))
    assert 0.0 < rates[0] < 0.06
    assert 0.0 < rates[1] < 0.06


@pytest.mark.parametrize("storage", ["float32", "int8"])
@pytest.mark.parametrize(("head", "aggregate"), [("cosine", "prototype"), ("euclidean", "max")])
def test_what_those_enrolled_find_is_the_best_of_all_others(
    head: str, aggregate: Aggregate, storage: StorageName
) -> None:
    rng = np.random.default_rng(0)
    for n in (3, 300):  # all of them search, and few of them
        made = Gallery(head, aggregate, storage=storage)
        y = np.arange(n).repeat(3)
        X = rng.normal(size=(n, 1, 8)) + 0.5 * rng.normal(size=(n, 3, 8))
        made.enroll(X.reshape(-1, 8), y)
        made.forget(1)
        made.forget(ids=[0, 6])
        now = made.snapshot
        look = _look.Look(made, now, made._strangers)
        ours = np.flatnonzero(rng.random(len(now)) < 40 / len(now))
        scores = made.class_scores(now.vectors[ours]).numpy()
        scores[np.arange(len(ours)), np.searchsorted(made.classes, now.labels[ours])] = -np.inf
        np.testing.assert_allclose(look._own_bests(ours), scores.max(1), rtol=1e-5, atol=1e-6)
