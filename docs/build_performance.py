"""Writes docs/performance.md and its plots from what two benchmarks measured and counted.

To renew the figures: ``python benchmarks/growth.py --json docs/performance/growth.json``,
``python benchmarks/ranks.py --json docs/performance/ranks.json`` and
``python docs/build_performance.py``.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).with_name("performance.md")
FOLDER = Path(__file__).with_name("performance")
COMMAND = "python docs/build_performance.py"

_WIDTH, _HEIGHT, _EDGE = 420, 260, 46
_OURS, _BOUND = "#0072B2", "#D55E00"


def page() -> str:
    """Return the whole page, as Markdown."""
    timed, counted = _read("growth"), _read("ranks")
    where = timed["environment"]
    lines = [
        "# How cost grows",
        "",
        f"<!-- Written by `{COMMAND}`; do not edit. -->",
        "",
        "Processor time of one thread at several sizes, and how it grows: the slope is that of",
        "the logarithms over the upper half of the sizes; that of the bound stands beside it. A",
        "cost may grow less than its bound as long as what does not grow is most of it.",
        f"Measured by `benchmarks/growth.py` on {where['hardware']}, torch {where['torch']}, at",
        f"{str(where['commit'])[:12]}. Others used the machine: these are the process's own times.",
        "",
        "Of p processes that train together (`benchmarks/ranks.py`) it is counted, not timed, what",
        f"the busiest does in a step of {_of_one(counted):,} images: so much on every machine.",
        "",
        "| what | sizes | at the largest | bound | its slope | measured slope |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in all_series():
        slope, bound = slopes(one)
        sizes = f"{one['unit']} = {one['sizes'][0]:,} to {one['sizes'][-1]:,}"
        cost = f"{one['seconds'][-1]:.3g} s" if "seconds" in one else _counted(one)
        lines.append(
            f"| {one['name']} | {sizes} | {cost} | {one['bound']} | {bound:.2f} | {slope:.2f} |"
        )
    pictures = [f"![{one['name']}](performance/{file_of(one)})" for one in all_series()]
    lines += ["", *pictures]
    return "\n".join(lines) + "\n"


def plots() -> dict[str, str]:
    """Return the plots, as SVG, by the name of their file."""
    return {file_of(one): _plot(one) for one in all_series()}


def all_series() -> list[dict[str, Any]]:
    """Return what was measured, then what was counted: each at several sizes."""
    return [one for name in ("growth", "ranks") for one in _read(name)["series"]]


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _of_one(counted: Mapping[str, Any]) -> int:
    """Return how many images a process alone embeds: those of the batch."""
    return int(next(s["counts"][0] for s in counted["series"] if s["counted"] == "images"))


def _counted(one: Mapping[str, Any]) -> str:
    return f"{one['counts'][-1]:,.0f} {one['counted']}"


def _costs(one: Mapping[str, Any]) -> list[float]:
    found: list[float] = one["seconds"] if "seconds" in one else one["counts"]
    return found


def file_of(one: Mapping[str, Any]) -> str:
    """Return the name of the file of a plot."""
    return re.sub(r"[^a-z0-9]+", "-", one["name"].lower()).strip("-") + ".svg"


def slopes(one: Mapping[str, Any]) -> tuple[float, float]:
    """Return the measured slope, and that of the bound, over the upper half of the sizes."""
    half = len(one["sizes"]) // 2 - (len(one["sizes"]) < 3)
    sizes = np.array(one["sizes"][half:], float)
    pair = (np.array(_costs(one)[half:]), bound_at(one, sizes))
    slope, bound = (float(np.polyfit(np.log(sizes), np.log(y), 1)[0]) for y in pair)
    return slope, bound


def bound_at(one: Mapping[str, Any], sizes: np.ndarray) -> np.ndarray:
    """Return what a bound says at some sizes, through the largest that was measured."""

    def shape(n: Any) -> Any:
        return n ** one["power"] * (np.log(n) if one["log"] else 1.0)

    found: np.ndarray = _costs(one)[-1] * shape(sizes) / shape(float(one["sizes"][-1]))
    return found


def _plot(one: Mapping[str, Any]) -> str:
    sizes, own = np.array(one["sizes"], float), np.array(_costs(one))
    bound = bound_at(one, sizes)
    x, x_ticks = _scale(sizes, _EDGE, _WIDTH - 12)
    y, y_ticks = _scale(np.concatenate([own, bound]), _HEIGHT - _EDGE, 30)
    body = [f'<text x="{_EDGE}" y="16" font-weight="bold">{one["name"]}</text>']
    for tick in x_ticks:
        place = f'x="{x(tick):.1f}" y="{_HEIGHT - 28}" text-anchor="middle"'
        body += [f"<text {place}>{_power(tick)}</text>"]
    for tick in y_ticks:
        place = f'x="{_EDGE - 6}" y="{y(tick) + 4:.1f}" text-anchor="end"'
        body += [f"<text {place}>{_power(tick)}</text>"]
        body += [f'<path d="M{_EDGE} {y(tick):.1f}H{_WIDTH - 12}" stroke="#ddd" stroke-width="1"/>']
    body.append(_line(sizes, bound, x, y, f'stroke="{_BOUND}" stroke-dasharray="5 4"'))
    body.append(_line(sizes, own, x, y, f'stroke="{_OURS}"'))
    body += [
        f'<circle cx="{x(n):.1f}" cy="{y(t):.1f}" r="3" fill="{_OURS}"/>'
        for n, t in zip(sizes, own, strict=True)
    ]
    slope, what = slopes(one)[0], one.get("counted", "seconds")
    body.append(
        f'<text x="{_EDGE}" y="{_HEIGHT - 8}">{one["unit"]}; {what}, slope {slope:.2f} '
        f'<tspan fill="{_BOUND}">(dashed: {one["bound"]})</tspan></text>'
    )
    inside = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{inside}\n</svg>\n'
    )


def _scale(values: np.ndarray, first: float, last: float) -> tuple[Any, Sequence[float]]:
    """Return a logarithmic scale from values to pixels, and its powers of ten.

    Where there are not two of them, the least and the greatest value stand in.
    """
    low, high = math.log10(values.min()) - 0.1, math.log10(values.max()) + 0.1

    def place(value: float) -> float:
        return first + (math.log10(value) - low) / (high - low) * (last - first)

    powers = [10.0**k for k in range(math.ceil(low), math.floor(high) + 1)]
    return place, powers if len(powers) > 1 else sorted({values.min(), values.max()})


def _power(tick: float) -> str:
    if tick != 10.0 ** round(math.log10(tick)) or tick == 1:
        return f"{tick:.3g}".replace("e+0", "e")
    return f'10<tspan dy="-4" font-size="8">{round(math.log10(tick))}</tspan>'


def _line(xs: np.ndarray, ys: np.ndarray, x: Any, y: Any, style: str) -> str:
    points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, ys, strict=True))
    return f'<polyline points="{points}" fill="none" stroke-width="2" {style}/>'


if __name__ == "__main__":
    for name, text in plots().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
