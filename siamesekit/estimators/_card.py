"""A model's card: what it is, how to use it, what it was made of, and how good it is.

In the way of model cards: a head of YAML for programs, then Markdown for people. All of it is
written from what the estimator knows. Names of classes and the like are a stranger's text: they
stand in code spans, or with every mark of Markdown and HTML escaped, and never in the YAML.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from siamesekit._params import in_words
from siamesekit.evaluation import Result

__all__ = ["card_of", "is_own"]

_NAMED = 20
"""Classes, at most, that are named."""
_LONGEST = 200
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#|!~$&^])")
_TICKS = re.compile("`+")
_SEAL = re.compile(
    r"<!-- Written by siamesekit, and again at every save; sha256 ([0-9a-f]{64}) -->\n"
)


def card_of(estimator: Any, description: Mapping[str, Any], results: Sequence[Result] = ()) -> str:
    """Return the card of a fitted estimator, as Markdown with a head of YAML.

    Parameters
    ----------
    estimator : fitted estimator
    description : mapping
        As `siamesekit.estimators._saving.describe` returns it.
    results : sequence of Result
        Figures of evaluations.
    """
    made: Mapping[str, Any] = estimator.training_ or {}
    name = str(description["estimator"])
    sections = {
        "How to use it": _usage(estimator, name, description["parts"]),
        "The line": _listed(_line(estimator, made)),
        "Data": _listed(_data(estimator, made)),
        "Figures": _listed(_figures(estimator, made, results)),
        "How it was made": _listed(_making(estimator, made, description)),
    }
    body = f"# {name}\n\n{estimator._summary}\n" + "".join(
        f"\n## {title}\n\n{text}\n" for title, text in sections.items()
    )
    head = _head(name, estimator.input_shape_)
    return f"{head}{_seal(head + body)}\n{body}"


def is_own(text: str) -> bool:
    """Return whether a text is a card that `card_of` wrote, not a letter of it changed since."""
    found = _SEAL.search(text)
    if found is None:
        return False
    rest = text[: found.start()] + text[found.end() :].removeprefix("\n")
    return found[0] == _seal(rest)


def _seal(rest: str) -> str:
    digest = hashlib.sha256(rest.encode()).hexdigest()
    return f"<!-- Written by siamesekit, and again at every save; sha256 {digest} -->\n"


def _head(name: str, shape: Sequence[int]) -> str:
    task = "image-feature-extraction" if len(shape) == 3 else "feature-extraction"
    facts = {
        "library_name": "siamesekit",
        "pipeline_tag": task,
        "tags": ["siamesekit", "metric-learning", "one-shot-learning", name],
    }
    # What json can hold is YAML as it stands.
    return "".join(["---\n", *(f"{k}: {json.dumps(v)}\n" for k, v in facts.items()), "---\n\n"])


# -- sections ---------------------------------------------------------------------------------


def _usage(estimator: Any, name: str, parts: Mapping[str, Any]) -> str:
    lacking = [k for k in ("backbone", "head") if "$omitted" in (parts.get(k) or {"$omitted": ""})]
    more = "".join(f", {argument}=..." for argument in lacking)
    code = [
        f"from siamesekit import {name}",
        "",
        f'model = {name}.load("path/of/this/folder"{more})',
        *estimator._usage,
    ]
    kind, low, high = estimator.input_kind_
    text = "\n".join(["```python", *code, "```", ""])
    text += (
        f"\n`X` holds items of shape {tuple(estimator.input_shape_)}; in training their numbers "
        f"were of the kind {_code(kind)}, {low:g} to {high:g}."
    )
    if lacking:
        text += (
            f" The {' and the '.join(lacking)} had no name in the registry when this was saved, "
            "and must be given."
        )
    return text


def _line(estimator: Any, made: Mapping[str, Any]) -> Iterable[str]:
    count = sum(p.numel() for p in estimator.backbone_.parameters())
    yield (
        f"backbone: {_code(in_words(estimator.backbone_))}, {count:,} weights, embeddings of "
        f"{estimator.embedding_size_} numbers"
    )
    yield f"head: {_code(in_words(estimator.head_))}"
    if estimator.loss_ is not None:
        yield f"loss: {_code(in_words(estimator.loss_))}"
    names = ("miner", "sampler", "augment", "optimizer", "schedule", "averaging")
    for name in (*names, "learning_rate", "weight_decay"):
        yield f"{name}: {_code(in_words(getattr(estimator, name)))}"


def _data(estimator: Any, made: Mapping[str, Any]) -> Iterable[str]:
    counted = {
        "n_items": "items",
        "n_pairs": "pairs that were given",
        "n_classes": "classes",
        "n_groups": "groups of classes",
    }
    for key, what in counted.items():
        if made.get(key) is not None:
            yield f"{_number(made[key])} {what}"
    for attribute, what in (
        ("trained_classes_", "trained on"),
        ("chosen_classes_", "that chose among epochs, and were not trained on"),
    ):
        classes = getattr(estimator, attribute)
        if classes is not None and len(classes):
            yield f"{len(classes):,} classes {what}: {_some(classes.tolist())}"
    yield from map(_plain, estimator._kept_in_words())
    if not made and estimator.trained_classes_ is None:
        yield "not recorded"


def _figures(estimator: Any, made: Mapping[str, Any], results: Sequence[Result]) -> Iterable[str]:
    for result in results:
        yield (
            f"{_plain(result.name)}: {result.value:.2%}{_interval(result.interval)}, chance "
            f"{result.chance:.2%}. {_plain(result.protocol)}."
        )
    own = made.get("validation")
    if own is not None:
        ends = "" if own["interval"] is None else _interval(own["interval"])
        yield (
            f"{_plain(own['measure'])}, by which the epoch was chosen (so that it flatters a "
            f"little): {own['value']:.2%}{ends}. {_plain(own['protocol'])}."
        )
        beside = sorted(vars(estimator).get("baselines_", {}).items(), key=lambda item: -item[1])
        if beside:
            listed = ", ".join(f"{_plain(name)} {score:.2%}" for name, score in beside)
            yield f"without learning, on the same trials: {listed}"
    if own is None and not results:
        yield "none: nothing was held out that could say how it does on classes it has not seen"


def _interval(ends: Sequence[float]) -> str:
    low, high = ends
    return f" [{low:.2%}, {high:.2%}]"


def _making(
    estimator: Any, made: Mapping[str, Any], description: Mapping[str, Any]
) -> Iterable[str]:
    history = estimator.history_
    if history.epochs:
        loss = history.get("loss", [float("nan")])[-1]
        spent = sum(history.get("seconds", []))
        epochs = f"{history.epochs} epoch{'s' * (history.epochs > 1)}"
        yield f"{epochs} in {spent:,.1f} s; the loss of the last is {loss:.4g}"
    else:
        yield "no epoch: the network is as it was given"
    if "seconds" in made:
        yield f"{made['seconds']:,.1f} s for all of `fit`, on {_plain(made['when'])}"
    known = made.get("environment", {})
    for key in ("hardware", "device", "commit"):
        if known.get(key) is not None:
            yield f"{key}: {_code(known[key])}"
    versions = {k: known[k] for k in ("python", "torch", "numpy", "siamesekit") if k in known}
    listed = ", ".join(f"{name} {_plain(value)}" for name, value in versions.items())
    yield f"versions in training: {listed or 'not recorded'}"
    yield f"saved by siamesekit {_plain(description['siamesekit'])}"
    yield (
        f"probabilities are fitted to pairs of {_plain(estimator.calibration_source_)}; seed "
        f"{_code(in_words(estimator.random_state))}"
    )


# -- text -------------------------------------------------------------------------------------


def _listed(facts: Iterable[str]) -> str:
    return "\n".join(f"- {fact}" for fact in facts)


def _some(names: Sequence[Any]) -> str:
    listed = ", ".join(_code(name) for name in names[:_NAMED])
    left = len(names) - _NAMED
    return listed if left <= 0 else f"{listed} and {left:,} more"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else _code(value)


def _printable(value: Any) -> str:
    text = str(value)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    # Line ends would end the item of a list; marks of direction would turn what follows.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _code(value: Any) -> str:
    """Return a value as a code span, in which no mark means anything."""
    text = _printable(value)
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    fence = "`" * (longest + 1)
    # Spaces at both ends are taken off; without, a tick would join the fence.
    pad = " " if not text.strip() or text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text or ' '}{pad}{fence}"


def _plain(value: Any) -> str:
    """Return a value as text in which no mark of Markdown or HTML means anything."""
    return _MARKS.sub(r"\\\1", _printable(value))
