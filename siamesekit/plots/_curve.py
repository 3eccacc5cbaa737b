"""A curve with its band, and axes of rates."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from siamesekit._checks import shown
from siamesekit.errors import InvalidParameterError
from siamesekit.evaluation import Curve
from siamesekit.plots._canvas import COLOURS

__all__ = ["draw_curve", "draw_legend", "normal_deviates", "percent"]

# Told apart in grey too.
_LINES = ("-", "--", "-.", ":")
_MARK = "siamesekit curve"
_BAND = "band: 95 % interval by identity"
_TICKS = (1e-5, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
# Normal deviates of 0 and 1 are infinite.
_LEAST = 1e-9


def draw_curve(axes: Any, curve: Curve, label: object, **style: Any) -> None:
    """Draw a curve of steps and its band, in the colour and the line of its place in the axes.

    Raises
    ------
    InvalidParameterError
        If `label` is neither None nor a string.
    """
    if label is not None and not isinstance(label, str):
        raise InvalidParameterError(f"label must be None or a string; got {shown(label)}.")
    place = sum(line.get_gid() == _MARK for line in axes.get_lines())
    style = {"drawstyle": "steps-post", "linestyle": _LINES[place % len(_LINES)]} | style
    colour = COLOURS[place % len(COLOURS)]
    # A name that begins with "_" would be left out of the legend, and a dollar begin a formula.
    name = (label or f"curve {place + 1}").replace("$", r"\$")
    axes.plot(
        curve.x, curve.y, color=colour, label=f"\u200b{name}", gid=_MARK, **style, clip_on=True
    )
    if curve.low is not None and curve.high is not None:
        step = "post" if style["drawstyle"] == "steps-post" else None
        axes.fill_between(
            curve.x, curve.low, curve.high, step=step, color=colour, alpha=0.2, linewidth=0,
            label=_BAND,
        )  # fmt: skip


def draw_legend(axes: Any, loc: str) -> None:
    """Name the curves, and what a band is, once."""
    handles, names = axes.get_legend_handles_labels()
    last = {name: handle for handle, name in zip(handles, names, strict=True)}
    if _BAND in last:
        last[_BAND] = last.pop(_BAND)
    axes.legend(last.values(), last.keys(), loc=loc, frameon=False, fontsize="small")


def percent(axis: Any, ticks: npt.ArrayLike | None = None) -> None:
    """Write rates as shares of a hundred."""
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    if ticks is not None:
        axis.set_ticks(ticks)
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.6g}"))
    axis.set_minor_formatter(NullFormatter())


def normal_deviates(axes: Any, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
    """Give both axes of rates the scale of the normal distribution's quantiles [1]_.

    On it two normal distributions of scores make a straight line.

    References
    ----------
    .. [1] A. Martin et al., "The DET curve in assessment of detection task performance",
       Eurospeech 1997.
    """
    scale = ("function", {"functions": (_deviate, special.ndtr)})
    for axis, rates in (("x", x), ("y", y)):
        inner = rates[(rates > 0) & (rates < 1)]
        low, high = (inner.min() / 2, (1 + inner.max()) / 2) if len(inner) else (1e-3, 1 - 1e-3)
        # Curves that are drawn there already stay within.
        old = sorted(getattr(axes, f"get_{axis}lim")()) if len(axes.get_lines()) > 2 else (1, 0)
        low, high = max(min(low, 0.01, old[0]), _LEAST), min(max(high, 0.6, old[1]), 0.999)
        getattr(axes, f"set_{axis}scale")(scale[0], **scale[1])
        getattr(axes, f"set_{axis}lim")(low, high)
        percent(getattr(axes, f"{axis}axis"), [t for t in _TICKS if low <= t <= high])


def _deviate(rate: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    deviates: npt.NDArray[np.float64] = special.ndtri(np.clip(rate, _LEAST, 1 - _LEAST))
    return deviates
