"""What goes out of use warns, works, and says what to use in its place."""

import pytest

from siamesekit._deprecation import deprecated, renamed_argument
from siamesekit.errors import InvalidParameterError


@deprecated(since="0.2", until="0.4", instead="new_way(x)")
def old_way(x: int) -> int:
    """Return twice a number."""
    return 2 * x


@renamed_argument("n", "number", since="0.2", until="0.4")
def twice(number: int) -> int:
    return 2 * number


def test_a_deprecated_function_works_and_says_what_to_use() -> None:
    with pytest.warns(FutureWarning, match=r"old_way\(\) .* 0\.4; use new_way\(x\)") as said:
        assert old_way(3) == 6
    assert said[0].filename == __file__, "the warning is to point at the caller"
    assert "deprecated:: 0.2" in (old_way.__doc__ or "")


def test_an_argument_is_taken_by_its_old_name() -> None:
    with pytest.warns(FutureWarning, match="argument n .* use number="):
        assert twice(n=3) == 6  # type: ignore[call-arg]
    with pytest.raises(InvalidParameterError, match="got both"):
        twice(n=3, number=4)  # type: ignore[call-arg]


@pytest.mark.filterwarnings("error")
def test_the_new_name_warns_of_nothing() -> None:
    assert twice(number=3) == twice(3) == 6
