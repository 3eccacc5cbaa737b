import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siamesekit.errors import InvalidDataError
from siamesekit.samplers._classes import ClassTable, even_share


@given(st.integers(1, 200), st.floats(0, 1), st.integers(0, 2**31), st.integers(0, 150))
def test_any_run_of_a_share_is_exact_to_less_than_one(
    n: int, share: float, seed: int, start: int
) -> None:
    chosen = even_share(n, share, torch.Generator().manual_seed(seed))
    run = chosen[start:]
    assert len(chosen) == n
    assert abs(int(run.sum()) - len(run) * share) < 1 + 1e-6


def test_a_share_is_right_on_average_where_an_epoch_is_one_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    hits = sum(int(even_share(1, 0.75, generator)) for _ in range(2000))
    assert 1400 < hits < 1600


def test_a_class_in_two_groups_is_refused_by_name() -> None:
    with pytest.raises(InvalidDataError, match=r"class 7 lies in 2 and 1|class 7 lies in 1 and 2"):
        ClassTable(torch.tensor([3, 7, 7]), torch.tensor([1, 1, 2]))


def test_labels_must_be_a_vector_of_two_classes() -> None:
    with pytest.raises(InvalidDataError, match="labels must have shape"):
        ClassTable(torch.zeros(2, 2, dtype=torch.int64))
    with pytest.raises(InvalidDataError, match="labels must have shape"):
        ClassTable(torch.zeros(0, dtype=torch.int64))
    with pytest.raises(InvalidDataError, match="all 5 items are of class 9"):
        ClassTable(torch.full((5,), 9))


def test_classes_of_a_group_stand_side_by_side() -> None:
    labels = torch.tensor([40, 10, 30, 20, 10])
    groups = torch.tensor([5, 6, 5, 6, 6])
    table = ClassTable(labels, groups)
    assert table.group_of.tolist() == [0, 0, 1, 1]
    assert table.sizes.tolist() == [1, 1, 2, 1]
    order = table.shuffled(torch.Generator().manual_seed(0))
    assert labels[order].tolist() == [30, 40, 10, 10, 20]
