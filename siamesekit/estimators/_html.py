"""An estimator as a page shows it: its line, from items to what training makes small."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from siamesekit._params import in_words

__all__ = ["line_html"]

_LONGEST = 160
_BOX = "border:1px solid currentColor;border-radius:4px;padding:2px 8px"
_ROW = "display:flex;flex-wrap:wrap;align-items:center;gap:6px;margin:4px 0"


def line_html(estimator: Any, is_fitted: bool) -> str:
    """Return the line of an estimator as HTML, in the colours of the page that it stands on.

    Parameters
    ----------
    estimator : estimator
    is_fitted : bool
    """
    boxes = _fitted(estimator) if is_fitted else _given(estimator)
    row = ' <span aria-hidden="true">→</span> '.join(
        _box(title, *lines) for title, lines in boxes.items()
    )
    words = "fitted" if is_fitted else "not fitted"
    below = [_beside(estimator), *(estimator._kept_in_words() if is_fitted else ())]
    return (
        '<div class="siamesekit-line" style="font-family:sans-serif;font-size:90%">'
        f"<div><b>{_text(type(estimator).__name__)}</b> ({words})</div>"
        f'<div style="{_ROW}">{row}</div>'
        + "".join(f"<div>{_text(line)}</div>" for line in below)
        + "</div>"
    )


def _given(estimator: Any) -> Mapping[str, Iterable[str]]:
    return {part: [in_words(getattr(estimator, part))] for part in ("backbone", "head", "loss")}


def _fitted(estimator: Any) -> Mapping[str, Iterable[str]]:
    count = sum(weight.numel() for weight in estimator.backbone_.parameters())
    shape = "×".join(map(str, estimator.input_shape_))
    boxes = {
        "items": [shape],
        "backbone": [in_words(estimator.backbone_), f"{count:,} weights"],
        "head": [in_words(estimator.head_), f"on {estimator.embedding_size_:,} numbers"],
    }
    if estimator.loss_ is not None:
        boxes["loss"] = [in_words(estimator.loss_)]
    return boxes


def _beside(estimator: Any) -> str:
    """Return what chooses and changes batches, in one line."""
    parts = {name: getattr(estimator, name) for name in ("sampler", "miner", "augment")}
    return ", ".join(f"{name}: {in_words(part)}" for name, part in parts.items())


def _box(title: str, *lines: str) -> str:
    inner = "".join(f"<br>{_text(line)}" for line in lines)
    return f'<span style="{_BOX}"><b>{_text(title)}</b>{inner}</span>'


def _text(value: str) -> str:
    short = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return html.escape(short)
