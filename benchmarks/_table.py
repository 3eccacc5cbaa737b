"""What the benchmarks print, and write with ``--json``."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Row", "report", "show", "write_json"]


@dataclass(frozen=True)
class Row:
    """One figure beside that of the peer; less is better, unless `more_is_better`.

    Attributes
    ----------
    name : str
        What is measured.
    size : int
        Of the problem.
    unit : str
    ours : float
    peer : float or None
        None where there is no peer, or it does not fit.
    more_is_better : bool
        As of a rate.
    """

    name: str
    size: int
    unit: str
    ours: float
    peer: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; None where it cannot be said."""
        if self.peer is None or self.ours <= 0 or self.peer <= 0:
            return None
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours


def show(rows: Iterable[Row], size: str, peer: str) -> None:
    """Print a table; `size` and `peer` head their columns."""
    rows = list(rows)
    width = max(len(row.name) for row in rows)
    print(f"{'':{width}}  {size:>7}  {'ours':>10}  {peer:>10}  {'ratio':>8}  unit")
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:,.1f} ×"
        print(
            f"{row.name:{width}}  {row.size:>7,}  {_figure(row.ours):>10}  "
            f"{_figure(row.peer):>10}  {ratio:>8}  {row.unit}"
        )


def report(rows: Iterable[Row], size: str, peer: str, path: Path | None) -> None:
    """Print a table as `show` does, and write it to `path` unless that is None."""
    rows = list(rows)
    show(rows, size, peer)
    if path:
        write_json(path, rows)


def write_json(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows as a list of ``{name, ours, peer, ratio, unit, size}``."""
    listed = [
        {
            "name": row.name,
            "ours": row.ours,
            "peer": row.peer,
            "ratio": row.ratio,
            "unit": row.unit,
            "size": row.size,
        }
        for row in rows
    ]
    path.write_text(json.dumps(listed, indent=1) + "\n")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
