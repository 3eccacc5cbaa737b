"""What a part of another package must do, checked by running it on small random tensors.

A plugin's author writes one test::

    from siamesekit.testing import check_plugin

    def test_my_loss_keeps_the_contract():
        check_plugin("losses", "my-loss")
"""

import copy
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._checks import check_choice
from siamesekit._params import Part
from siamesekit._random import drawing_from
from siamesekit._types import Pairs, Shape, Triplets, Tuples
from siamesekit.backbones import Backbone
from siamesekit.errors import InvalidDataError, PluginCheckError
from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.miners import Miner
from siamesekit.samplers import Sampler

__all__ = ["check_plugin"]

_SHAPES: tuple[Shape, ...] = ((1, 28, 28), (16,), (1, 64, 64), (3, 105, 105))
"""Shapes of items offered to a backbone; it is checked on the first that it takes."""

_DIM = 8
_CLASSES, _EACH = 4, 4
_SEED = 0


def check_plugin(kind: str, name: str | type[Any] | Part) -> None:
    """Check that a part keeps the contract of its kind; say all that is missing at once.

    The part is made with its default parameters (give an instance to check others) and run on
    the CPU. What is checked:

    - every kind: ``get_params``, ``set_params`` and ``clone`` go round;
    - backbones: embeddings are float of shape (b, d), depend on their own item alone, are the
      same twice in ``eval()``, and a gradient reaches every weight;
    - heads: ``pairs`` is the diagonal of ``forward``, order does not matter, gradients are
      finite, and under a fixed head nothing is more like an item than itself;
    - losses: a finite scalar with a finite gradient, and a differentiable 0 for an empty choice;
    - miners: int64 positions in the batch whose labels make valid pairs or triplets, also where
      a batch holds one class;
    - samplers: batches of valid positions that depend on seed and epoch alone.

    Parameters
    ----------
    kind : {"backbones", "heads", "losses", "miners", "samplers"}
    name : str, type or Part
        A registered name, a class or an instance. An instance is left as it is.

    Raises
    ------
    PluginCheckError
        If anything is missing; its message lists everything that is.
    InvalidParameterError
        If `kind` is none of these.
    UnknownPartError, PluginImportError, PluginConflictError
        If the name does not lead to a class.
    """
    base, check = _CONTRACTS[check_choice("kind", kind, _CONTRACTS)]
    # A name that leads nowhere is no fault of the part: the registry's own error says more.
    spec = registry.get(kind, name) if isinstance(name, str) else name
    found = _Findings()
    with drawing_from(_SEED):
        with found.attempt("making it with its default parameters"):
            part = spec() if isinstance(spec, type) else copy.deepcopy(spec)
            found.expect(isinstance(part, base), f"it must be a {base.__module__}.{base.__name__}")
        if not found.missing:
            _check_parameters(part, found)
            check(part, found)
    if found.missing:
        listed = "".join(f"\n- {message}" for message in found.missing)
        shown = name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
        raise PluginCheckError(f"{shown!r} does not keep the contract of {kind}:{listed}")


class _Findings:
    """What was found missing, in plain words."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def expect(self, holds: object, message: str) -> None:
        if not holds:
            self.missing.append(message)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Note an exception as a finding, so that the checks after it still run."""
        try:
            yield
        except Exception as error:
            self.missing.append(f"{what} raises {type(error).__name__}: {error}")


def _check_parameters(part: Part, found: _Findings) -> None:
    with found.attempt("get_params"):
        params = part.get_params(deep=False)
        with found.attempt("making it again from get_params()"):
            again = type(part)(**params).get_params(deep=False)
            found.expect(
                _alike(again, params),
                "the constructor must keep every argument, unchanged, in an attribute of its "
                f"name; made again from {params} it has {again}",
            )
        with found.attempt("clone"):
            found.expect(
                _alike(clone(part).get_params(deep=False), params),
                "sklearn.base.clone must keep its parameters",
            )
        with found.attempt("set_params"):
            found.expect(
                _alike(clone(part).set_params(**params).get_params(deep=False), params),
                "set_params(**get_params()) must leave its parameters as they are",
            )


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    # Copies of objects and arrays need not be ==; what they show of themselves is compared.
    return _shown(one) == _shown(other)


def _shown(params: dict[str, Any]) -> dict[str, str]:
    return {key: re.sub(" at 0x[0-9a-f]+", "", repr(value)) for key, value in params.items()}


# -- backbones --------------------------------------------------------------------------------


def _check_backbone(part: Backbone, found: _Findings) -> None:
    shape = None
    with found.attempt("build(input_shape)"):
        shape = _build_for_some_shape(part)
        offered = ", ".join(map(str, _SHAPES))
        found.expect(shape is not None, f"build must take items of one of the shapes {offered}")
    if shape is None:
        return
    items = torch.rand(6, *shape)
    with found.attempt("build for the same shape again"):
        before = list(part.parameters())
        kept = list(part.build(shape).parameters())
        found.expect(
            len(before) == len(kept) and all(map(_is, before, kept)),
            "build must keep the weights that are there already",
        )
    with found.attempt("a step of training"):
        _check_gradient_of_weights(part, part.train()(items), found)
    with found.attempt("embedding in eval() mode"), torch.no_grad():
        _check_embeddings(part.eval(), items, found)


def _build_for_some_shape(part: Backbone) -> Shape | None:
    if part.input_shape is not None:
        return part.input_shape
    for shape in _SHAPES:
        try:
            part.build(shape)
        except InvalidDataError:
            continue
        return shape
    return None


def _check_embeddings(part: Backbone, items: Tensor, found: _Findings) -> None:
    embeddings = part(items)
    found.expect(
        embeddings.ndim == 2 and len(embeddings) == len(items) and embeddings.is_floating_point(),
        "forward must return float embeddings of shape (b, d); "
        f"got {embeddings.dtype} of shape {tuple(embeddings.shape)} for b = {len(items)}",
    )
    found.expect(embeddings.isfinite().all(), "embeddings must be finite")
    found.expect(
        torch.equal(part(items), embeddings), "eval() mode must give the same embeddings twice"
    )
    some = torch.tensor([4, 0, 3, 1])
    found.expect(
        _close(part(items[some]), embeddings[some]),
        "in eval() mode an embedding must depend on its own item alone, not on the order or the "
        "rest of the batch",
    )


# -- heads ------------------------------------------------------------------------------------


def _check_head(part: Head, found: _Findings) -> None:
    gives = getattr(part, "gives", None)
    found.expect(
        gives in ("logit", "distance"),
        'the class must say gives = "logit" or gives = "distance"',
    )
    with found.attempt("build(dim)"):
        part.build(_DIM)
    part.eval()
    a, b = torch.randn(5, _DIM), torch.randn(7, _DIM)
    with found.attempt("comparing"), torch.no_grad():
        scores, aligned = part(a, b), part.pairs(a, b[:5])
        found.expect(
            scores.shape == (5, 7),
            "forward must return scores of shape (m, n) for (m, d) against (n, d); "
            f"got {tuple(scores.shape)} for m = 5, n = 7",
        )
        found.expect(
            aligned.shape == (5,),
            f"pairs must return scores of shape (n,); got {tuple(aligned.shape)} for n = 5",
        )
        found.expect(
            _close(aligned, scores[:, :5].diagonal()),
            "pairs(a, b) must equal the diagonal of forward(a, b)",
        )
        found.expect(_close(part(b, a).T, scores), "head(a, b) must equal head(b, a).T")
    if gives == "distance":
        with found.attempt("comparing items with themselves"), torch.no_grad():
            among = part(a, a)
            found.expect(
                (among.diagonal()[:, None] >= among - 1e-4).all(),
                "higher must mean more alike: an item scores lower with itself than with another",
            )
    for form, compare in (("forward", part.forward), ("pairs", part.pairs)):
        with found.attempt(f"the gradient of {form}"):
            _check_gradient_of_head(part, form, compare, found)


def _check_gradient_of_head(
    part: Head, form: str, compare: Callable[[Tensor, Tensor], Tensor], found: _Findings
) -> None:
    # The first rows are equal: there the root of a distance has no finite slope of its own.
    a = torch.randn(5, _DIM).requires_grad_()
    b = torch.cat([a.detach()[:2], torch.randn(3, _DIM)]).requires_grad_()
    part.zero_grad()
    scores = compare(a, b)
    scores.sum().backward()  # type: ignore[no-untyped-call]
    found.expect(
        all(_finite(x.grad) for x in (a, b)),
        f"the gradient of {form} must reach both embeddings and be finite, also where two are "
        "equal",
    )
    without = [name for name, weight in part.named_parameters() if not _finite(weight.grad)]
    found.expect(
        not without, f"no finite gradient of {form} reaches its weights {', '.join(without)}"
    )


# -- losses and miners ------------------------------------------------------------------------


def _batch(takes: str) -> tuple[Tensor, Tensor]:
    """Return what a loss or a miner takes, and labels: four items of each of four classes."""
    embeddings = nn.functional.normalize(torch.randn(_CLASSES * _EACH, _DIM), dim=1)
    labels = torch.arange(_CLASSES).repeat_interleave(_EACH)
    scores = -torch.cdist(embeddings, embeddings)
    return (embeddings if takes == "embeddings" else scores), labels


def _check_takes(part: Loss | Miner, found: _Findings) -> None:
    found.expect(
        part.takes in ("scores", "embeddings"),
        f"takes must be 'scores' or 'embeddings'; got {part.takes!r}",
    )


def _check_loss(part: Loss, found: _Findings) -> None:
    _check_takes(part, found)
    with found.attempt("build(dim, n_classes)"):
        part.build(_DIM, _CLASSES)
    inputs, labels = _batch(part.takes)
    with found.attempt("charging a batch"):
        _check_charge(part, inputs, labels, found)
    empty: tuple[Tuples, ...] = (Pairs.empty(), Triplets.empty())
    for tuples in empty:
        what = f"an empty choice of {type(tuples).__name__.lower()}"
        with found.attempt(f"charging {what}"):
            _check_empty_choice(part, inputs, labels, tuples, what, found)


def _check_charge(part: Loss, inputs: Tensor, labels: Tensor, found: _Findings) -> None:
    leaf = inputs.clone().requires_grad_()
    value = part(leaf, labels)
    found.expect(
        value.shape == () and value.is_floating_point(),
        f"forward must return a float scalar; got {value.dtype} of shape {tuple(value.shape)}",
    )
    found.expect(value.isfinite().all(), f"the loss of a random batch must be finite; got {value}")
    if not value.requires_grad:
        found.expect(False, "the loss must be differentiable with respect to its inputs")
        return
    value.sum().backward()
    found.expect(_finite(leaf.grad), "the gradient must reach the inputs and be finite")
    found.expect(
        leaf.grad is None or leaf.grad.any(), "the gradient of a random batch must not be all zero"
    )
    found.expect(torch.equal(leaf, inputs), "forward must leave its inputs as they are")


def _check_empty_choice(
    part: Loss, inputs: Tensor, labels: Tensor, tuples: Tuples, what: str, found: _Findings
) -> None:
    leaf = inputs.clone().requires_grad_()
    try:
        value = part(leaf, labels, tuples)
    except ValueError:
        return  # A loss may refuse pairs, triplets or any miner, and then there is no choice.
    found.expect(
        value.shape == () and value.requires_grad and float(value.detach()) == 0,
        f"{what} must give a 0 that can be differentiated; got {value}",
    )


def _check_miner(part: Miner, found: _Findings) -> None:
    _check_takes(part, found)
    inputs, labels = _batch(part.takes)
    for what, own in (("a batch", labels), ("a batch of one class", torch.zeros_like(labels))):
        with found.attempt(f"choosing from {what}"):
            given = inputs.clone()
            chosen = part(given, own)
            found.expect(torch.equal(given, inputs), "a miner must leave its inputs as they are")
            _check_tuples(chosen, own, what, found)


def _check_tuples(chosen: Tuples, labels: Tensor, what: str, found: _Findings) -> None:
    if not isinstance(chosen, Pairs | Triplets):
        found.expect(False, f"a miner must return Pairs or Triplets; got {type(chosen).__name__}")
        return
    sizes = {tuple(index.shape) for index in chosen}
    if len(sizes) > 1 or len(sizes.pop()) != 1:
        found.expect(False, f"from {what}: index tensors must be vectors of one length")
        return
    if any(index.dtype != torch.int64 for index in chosen):
        got = ", ".join(str(index.dtype) for index in chosen)
        found.expect(False, f"from {what}: index tensors must be of int64; got {got}")
        return
    if any(((index < 0) | (index >= len(labels))).any() for index in chosen):
        found.expect(False, f"from {what}: positions must lie in the batch")
        return
    first, second = chosen[:2]
    found.expect((first != second).all(), f"from {what}: no item may be paired with itself")
    if isinstance(chosen, Triplets):
        found.expect(
            (labels[chosen.a] == labels[chosen.p]).all(),
            f"from {what}: a positive must be of its anchor's class",
        )
        found.expect(
            (labels[chosen.a] != labels[chosen.n]).all(),
            f"from {what}: a negative must be of another class than its anchor",
        )


# -- samplers ---------------------------------------------------------------------------------


def _check_sampler(part: Sampler, found: _Findings) -> None:
    labels = torch.arange(30).repeat_interleave(6)

    def drawn(epoch: int, seed: int) -> list[Tensor]:
        sampler: Sampler = clone(part).bind(labels, labels // 10, seed=seed)
        sampler.set_epoch(epoch)
        # One more than it says, in case it never ends.
        return list(islice(sampler, len(sampler) + 1))

    with found.attempt("drawing from 30 classes of 6 items in 3 groups"):
        before = _global_generators()
        batches = drawn(0, seed=3)
        found.expect(
            _global_generators() == before,
            "it must draw from the generator that it is given, and leave the global ones of "
            "torch, numpy and random alone",
        )
        n_said = len(clone(part).bind(labels, labels // 10))
        found.expect(len(batches) == n_said, "its len() must be the number of batches in an epoch")
        _check_batches(batches, len(labels), found)
        found.expect(
            _equal(drawn(0, seed=3), batches), "equal seeds must give equal batches in an epoch"
        )
        found.expect(not _equal(drawn(1, seed=3), batches), "set_epoch must change what is drawn")
        found.expect(not _equal(drawn(0, seed=4), batches), "another seed must change the batches")


def _check_batches(batches: list[Tensor], n_items: int, found: _Findings) -> None:
    found.expect(batches, "an epoch must hold at least one batch")
    for batch in batches:
        paired = batch.ndim == 2 and batch.shape[1] == 2
        if batch.dtype != torch.int64 or not (paired or batch.ndim == 1):
            found.expect(
                False,
                "batches must be of int64 and of shape (b,) or (n, 2); "
                f"got {batch.dtype} of shape {tuple(batch.shape)}",
            )
            return
        if ((batch < 0) | (batch >= n_items)).any():
            found.expect(False, "batches must hold positions in the training set")
            return


def _global_generators() -> tuple[str, ...]:
    of_numpy = np.random.get_state(legacy=False)  # noqa: NPY002 -- read to see that none drew from it
    return repr(torch.get_rng_state().tolist()), repr(of_numpy), repr(random.getstate())


# -- comparisons ------------------------------------------------------------------------------


def _check_gradient_of_weights(part: nn.Module, outputs: Tensor, found: _Findings) -> None:
    weights = {name: w for name, w in part.named_parameters() if w.requires_grad}
    if outputs.requires_grad:
        (outputs * torch.randn_like(outputs)).sum().backward()  # type: ignore[no-untyped-call]
    without = [name for name, weight in weights.items() if not _finite(weight.grad)]
    found.expect(not without, f"no finite gradient reaches its weights {', '.join(without)}")


def _finite(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.isfinite().all())


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def _equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def _is(one: object, other: object) -> bool:
    return one is other


_CONTRACTS: dict[str, tuple[type[Part], Callable[[Any, _Findings], None]]] = {
    "backbones": (Backbone, _check_backbone),
    "heads": (Head, _check_head),
    "losses": (Loss, _check_loss),
    "miners": (Miner, _check_miner),
    "samplers": (Sampler, _check_sampler),
}
