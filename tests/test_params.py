"""The parameter grammar that parts share with scikit-learn."""

import pytest
from sklearn.base import clone

from siamesekit import registry
from siamesekit._params import Part
from siamesekit.backbones import MLP
from siamesekit.errors import InvalidParameterError

PARTS = [
    (kind, name)
    for kind in registry.KINDS
    for name in registry.names(kind, plugins=False)
    if not name.startswith("pml:")
]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_parameters_go_round(kind: str, name: str) -> None:
    part = registry.create(kind, name)
    params = part.get_params()
    assert set(params) >= set(type(part).parameter_names())
    assert type(part)(**part.get_params(deep=False)).get_params(deep=False) == part.get_params(
        deep=False
    )
    assert clone(part).get_params(deep=False) == part.get_params(deep=False)


def test_set_params_resets_the_layers() -> None:
    net = MLP().build((5,))
    net.set_params(units=7)
    assert net.network is None
    assert net.build((5,)).network is not None


def test_a_refused_value_leaves_the_part_as_it_was() -> None:
    net = MLP(units=5).build((3,))
    before = net.network
    with pytest.raises(InvalidParameterError, match="units"):
        net.set_params(units=-1)
    assert net.units == 5
    assert net.network is before


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"'unit'.*MLP.*Did you mean 'units'"):
        MLP().set_params(unit=3)


def test_a_clone_keeps_weights() -> None:
    net = MLP().build((3,))
    copied = clone(net)
    assert copied is not net
    for ours, theirs in zip(net.parameters(), copied.parameters(), strict=True):
        assert ours is not theirs
        assert bool((ours == theirs).all())


class Outer(Part):
    def __init__(self, inner: Part | None = None) -> None:
        self.inner = inner


def test_set_params_reaches_into_inner_parts() -> None:
    outer = Outer(MLP())
    outer.set_params(inner__units=9)
    assert outer.get_params()["inner__units"] == 9


def test_reaching_into_what_has_no_parameters_says_what_to_give_first() -> None:
    with pytest.raises(
        InvalidParameterError,
        match=r"got inner=None.* Give inner=<a part> first",
    ):
        Outer().set_params(inner__units=9)


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_default_parameters_are_those_of_a_part_made_without_arguments(
    kind: str, name: str
) -> None:
    assert registry.get(kind, name).default_params() == registry.create(kind, name).get_params()
