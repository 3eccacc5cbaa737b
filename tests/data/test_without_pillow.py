"""What reads files with Pillow, where Pillow is not installed."""

import sys
from collections.abc import Callable

import pytest

from siamesekit.data._pictures import Pictures
from siamesekit.data._png import decode_ink
from siamesekit.errors import DatasetNotFoundError


@pytest.mark.parametrize(
    "read", [lambda: decode_ink(b"", 105, "a.png"), lambda: Pictures("grey", 28, False)]
)
def test_it_says_how_to_install_it(
    read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the import system marks what is not to be found.
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DatasetNotFoundError, match=r"siamesekit\[data\]"):
        read()
