"""Galleries of short embeddings, and of numbers kept in two bytes or one."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit.errors import InvalidDataError, InvalidParameterError, SavedModelError
from siamesekit.gallery import Gallery, PCAProjection, RandomProjection
from siamesekit.gallery._storage import STORAGES
from siamesekit.heads import CosineConcatHead, CosineHead

AGGREGATES = ["prototype", "mean", "max"]
HEADS = ["cosine", "euclidean", "sqeuclidean", "l1"]
# How far a number may be rounded, as a share of the largest one of its embedding.
ROUNDED = {"float32": 0.0, "float16": 2**-11, "int8": 0.51 / 127}


def crowd(n: int = 60, dim: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 12, n)
    return rng.normal(size=(n, dim)).astype(np.float32), labels


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_numbers_are_rounded_as_little_as_the_type_can(storage: str, scale: float) -> None:
    kind, z = STORAGES[storage], torch.from_numpy(crowd(dim=7)[0]) * scale
    z[3] = 0
    z[4, 1:] = 0
    rows = kind.pack(z)
    assert kind.dim(rows) == 7
    error = (kind.unpack(rows) - z).abs().amax(1)
    assert (error <= ROUNDED[storage] * z.abs().amax(1)).all()
    assert torch.equal(kind.pack(kind.unpack(rows)), rows)
    assert kind.unpack(kind.pack(z[:0])).shape == (0, 7)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_packed_galleries_score_as_those_of_the_rounded_embeddings(
    storage: str, aggregate: str, head: str
) -> None:
    vectors, labels = crowd()
    packed = Gallery(head, aggregate, storage=storage)  # type: ignore[arg-type]
    packed.head.build(32).eval()
    for rows in np.array_split(np.arange(60), 7):  # as they come and go
        packed.enroll(vectors[rows], labels[rows])
        packed.class_scores(vectors[:2])
    packed.forget(ids=[0, 1, 30])
    packed.forget(labels[50])
    rounded = Gallery(head, aggregate)  # type: ignore[arg-type]
    rounded.head.build(32).eval()
    rounded.enroll(packed.vectors, packed.labels)
    queries = crowd(seed=1)[0]
    scores = rounded.class_scores(queries)
    # Means are rounded once more.
    slack = 0.02 * float(scores.std()) + 3e-3 * float(scores.abs().max())
    torch.testing.assert_close(packed.class_scores(queries), scores, rtol=0, atol=slack)
    best = packed.class_scores(queries).amax(1)
    asked = packed.class_scores(queries)[
        torch.arange(60), torch.from_numpy(packed.positions_of(packed.best_classes(queries)))
    ]
    torch.testing.assert_close(asked, best, rtol=1e-5, atol=1e-5)
    claims = packed.best_classes(queries)
    np.testing.assert_allclose(packed.verify(queries, claims), best, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_packed_gallery_takes_a_half_or_a_quarter(storage: str, tmp_path: Path) -> None:
    vectors, labels = crowd(400, 256)
    sizes = {}
    for kind in ("float32", storage):
        gallery = Gallery(storage=kind)  # type: ignore[arg-type]
        gallery.enroll(vectors, labels)
        gallery.save(tmp_path / kind)
        sizes[kind] = gallery.nbytes, (tmp_path / kind).stat().st_size
    share = {"float16": 0.5, "int8": 0.25}[storage]
    assert sizes["float32"][0] == 400 * 256 * 4
    assert sizes[storage][0] < (share + 0.01) * sizes["float32"][0]
    assert sizes[storage][1] < (share + 0.03) * sizes["float32"][1]
    # One example a class is asked where it stands: nothing is copied.
    alone = Gallery(storage=storage)  # type: ignore[arg-type]
    alone.enroll(vectors, np.arange(400))
    assert (alone.best_classes(vectors) == np.arange(400)).all()
    assert alone._ready is not None
    assert alone._ready[1].supports.data_ptr() == alone.snapshot.all_rows.data_ptr()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("projection", [None, 16, "fitted"])
def test_compact_galleries_come_back_as_they_were(
    storage: str, projection: object, tmp_path: Path
) -> None:
    vectors, labels = crowd()
    if projection == "fitted":
        projection = PCAProjection(16).fit(crowd(seed=2)[0])
    gallery = Gallery("cosine", storage=storage, projection=projection)  # type: ignore[arg-type]
    gallery.enroll(vectors, labels)
    gallery.forget(ids=[5])
    scores = gallery.class_scores(vectors)
    gallery.save(tmp_path / "people")
    for again in (
        Gallery.load(tmp_path / "people"),
        pickle.loads(pickle.dumps(gallery)),
        copy.deepcopy(gallery),
    ):
        assert again.storage == storage
        assert torch.equal(again.vectors, gallery.vectors)
        assert torch.equal(again.class_scores(vectors), scores)
        again.enroll(vectors[5:6], labels[5:6])
        assert len(again) == 60


def test_who_is_forgotten_is_in_no_compact_file(tmp_path: Path) -> None:
    vectors, labels = crowd()
    for storage in STORAGES:
        path = tmp_path / storage
        gallery = Gallery(storage=storage, projection=16)  # type: ignore[arg-type]
        gallery.enroll(vectors, labels)
        gallery.save(path)
        row = gallery.snapshot.all_rows[7].clone().numpy().tobytes()
        numbers = row[8:] if storage == "int8" else row[2:]
        assert numbers in path.read_bytes()
        gallery.forget(ids=[7])
        gallery.save(path)
        assert numbers not in path.read_bytes()


@pytest.mark.parametrize("make", [RandomProjection, PCAProjection])
def test_short_embeddings_keep_distances_and_angles(make: type) -> None:
    rng = np.random.default_rng(0)
    # Few directions among many numbers, far from the origin: nothing may be centred.
    z = (rng.normal(size=(200, 20)) @ rng.normal(size=(20, 2000)) + 3).astype(np.float32)
    projection = make(128)
    if make is PCAProjection:
        projection = make(128, share=0.15).fit(z[:100])  # 19 of 21 directions
    short = projection.apply(z).numpy()
    unit, short_unit = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (z, short))
    error = np.abs(unit @ unit.T - short_unit @ short_unit.T).max()
    assert error < (0.05 if make is PCAProjection else 5 / 11)
    lengths = np.linalg.norm(short, axis=1) / np.linalg.norm(z, axis=1)
    assert np.abs(lengths - 1).max() < (0.05 if make is PCAProjection else 4 / 11)


def test_random_directions_hang_on_the_seed_alone() -> None:
    a, b, c = (RandomProjection(3, seed).made_for(5) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    # Written down: a file names the seed alone.
    signs = "".join("+" if x > 0 else "-" for x in a.flatten().tolist())
    assert signs == SIGNS


SIGNS = "+++++-+--+-----"


def test_pca_finds_the_longest_directions_from_either_side() -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(40, 90)) * np.linspace(3, 0.1, 90)
    for z in (wide, wide.T):
        found = PCAProjection(5, share=1, unit=False).fit(z.astype(np.float32)).matrix
        assert found is not None
        true = np.linalg.svd(z, full_matrices=False)[2][:5].T
        np.testing.assert_allclose(np.abs(np.sum(found.numpy() * true, 0)), 1, atol=1e-4)
        white = PCAProjection(5, share=1, whiten=0.5, unit=False).fit(z.astype(np.float32))
        lengths = white.apply(z.astype(np.float32)).square().sum(0)
        np.testing.assert_allclose(lengths / lengths[0], 1, rtol=1e-3)


def test_what_is_left_beside_the_found_directions_is_not_thrown_away() -> None:
    rng = np.random.default_rng(0)
    seen, unseen = rng.normal(size=(2, 300, 400)).astype(np.float32)
    seen[:, 200:] = 0  # directions that nothing was fitted to
    errors = []
    for share in (0.25, 1.0):
        short = PCAProjection(100, share=share, unit=False).fit(seen).apply(unseen)
        errors.append(float((short @ short.T).diagonal().mean() / (unseen**2).sum(1).mean()))
    assert abs(errors[0] - 1) < 0.05
    assert errors[1] < 0.6


@pytest.mark.parametrize("head", ["l1", "cosine-concat", "squared"])
def test_heads_that_see_single_numbers_take_no_projection(head: str) -> None:
    with pytest.raises(InvalidParameterError, match="projection must be None"):
        Gallery(head, projection=4)
    with pytest.raises(InvalidParameterError, match="projection must be None"):
        Gallery(CosineConcatHead().build(32).eval(), projection=4)


@pytest.mark.parametrize(
    "options",
    [
        {"storage": "int4"},
        {"storage": None},
        {"projection": 0},
        {"projection": 2.5},
        {"projection": True},
        {"projection": "pca"},
    ],
)
def test_options_that_cannot_be_are_named(options: dict) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(options))):
        Gallery(**options)


def test_projections_that_do_not_fit_are_named() -> None:
    vectors, labels = crowd()
    with pytest.raises(InvalidParameterError, match="must be fitted"):
        Gallery(projection=PCAProjection(4)).enroll(vectors, labels)
    with pytest.raises(InvalidParameterError, match="fewer numbers"):
        Gallery(projection=33).enroll(vectors, labels)
    with pytest.raises(InvalidDataError, match="at least 61"):
        PCAProjection(61, share=1).fit(np.repeat(vectors, 4, axis=1))
    with pytest.raises(InvalidDataError, match="directions that differ"):
        PCAProjection(8).fit(np.ones((20, 20)))
    with pytest.raises(InvalidDataError, match="finite"):
        PCAProjection(2).fit(np.full((4, 4), np.nan))
    gallery = Gallery(projection=4)
    gallery.enroll(vectors, labels)
    with pytest.raises(InvalidDataError, match="32 numbers"):
        gallery.enroll(vectors[:, :20], labels)
    with pytest.raises(InvalidDataError, match="finite"):
        gallery.enroll(np.full((1, 32), np.inf), [1])
    assert len(gallery) == 60


def test_a_projection_fitted_anew_changes_no_gallery() -> None:
    vectors, labels = crowd()
    projection = PCAProjection(4).fit(vectors)
    gallery = Gallery(projection=projection)
    gallery.enroll(vectors, labels)
    scores = gallery.class_scores(vectors)
    projection.fit(crowd(seed=5)[0])
    assert torch.equal(gallery.class_scores(vectors), scores)


def test_the_background_is_made_short_too() -> None:
    vectors = crowd(200)[0]
    gallery = Gallery(projection=16, storage="int8")
    gallery.enroll(vectors[:12], np.arange(12))
    gallery.set_background(vectors[12:], np.arange(100, 288))
    assert gallery.background is not None
    assert gallery.background[0].shape == (188, 16)
    found = gallery.identify(vectors[:20], fpir=0.1)
    assert not found.unknown[:12].any()


def test_a_damaged_projection_is_refused(tmp_path: Path) -> None:
    from siamesekit.gallery import compact

    gallery = Gallery(projection=16)
    gallery.enroll(*crowd())
    with pytest.raises(InvalidParameterError, match="saved"):
        Gallery(CosineHead(), projection=Mine(2)).save(tmp_path / "people")
    for entry in (
        {"kind": "other", "dim": 3, "params": {}},
        {"kind": "random", "dim": "3", "params": {"size": 2}},
        {"kind": "random", "dim": 3, "params": {"size": 2, "more": 1}},
        {"kind": "random", "dim": 2**40, "params": {"size": 2}},
        {"kind": "pca"},
        7,
    ):
        with pytest.raises(SavedModelError, match="projection"):
            compact.projection_of({"projection": entry}, {})


class Mine(RandomProjection):
    """A projection that no file can name."""
