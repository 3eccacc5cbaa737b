"""The fast way to the best class names what the head's own scores name."""

import numpy as np
import pytest
import torch

from siamesekit.gallery import Gallery
from siamesekit.heads import CosineHead

K, D = 700, 12


def gallery_of(aggregate: str, shot: int) -> tuple[Gallery, torch.Tensor]:
    """Return a gallery in which many examples nearly are one another, and queries near them."""
    generator = torch.Generator().manual_seed(shot)
    z = torch.randn(K * shot, D, generator=generator)
    z[::7] = z[3] + 1e-7 * torch.randn(len(z[::7]), D, generator=generator)
    made = Gallery(CosineHead(), aggregate)  # type: ignore[arg-type]
    made.enroll(z, np.arange(K * shot) % K)
    queries = torch.cat([torch.randn(60, D, generator=generator), z[::7][:40], z[3:4]])
    return made, queries


@pytest.mark.parametrize("shot", [1, 3])
@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
@pytest.mark.parametrize("blocks", [(2**21, 512), (999, 16)])
def test_the_best_of_all_scores(
    aggregate: str, shot: int, blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siamesekit.gallery._prepared._SCORES", blocks[0])
    monkeypatch.setattr("siamesekit.gallery._prepared._QUERIES", blocks[1])
    gallery, queries = gallery_of(aggregate, shot)
    scores = gallery.class_scores(queries)
    best = (scores == scores.amax(1, keepdim=True)).numpy()
    chosen = gallery.best_classes(queries)
    assert best[np.arange(len(queries)), chosen].all()
    answers = np.arange(len(queries)) * 7 % K
    expected = best[np.arange(len(queries)), answers] / best.sum(1)
    np.testing.assert_allclose(gallery.worth(queries, answers), expected)
    some = np.arange(0, K, 7)
    assert (gallery.best_classes(queries, classes=some) == some[scores[:, some].argmax(1)])[
        best[:, some].sum(1) == 1
    ].all()


def test_few_classes_are_looked_at_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    closely = CosineHead._compared_pairs

    def counted(head: CosineHead, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(len(a))
        return closely(head, a, b)

    gallery = Gallery(CosineHead())
    z = torch.randn(2000, D, generator=torch.Generator().manual_seed(0))
    gallery.enroll(z, np.arange(2000))
    monkeypatch.setattr(CosineHead, "_compared_pairs", counted)
    assert gallery.best_classes(z[:50]).tolist() == list(range(50))
    assert sum(seen) < 200
    # Where all are alike, pair by pair would take far more memory than a tile of scores.
    same = Gallery(CosineHead())
    same.enroll(z[:1].expand(2000, -1), np.arange(2000))
    seen.clear()
    same.best_classes(z[:50])
    assert sum(seen) == 0
