"""One call that checks a part of any kind."""

import copy
import importlib
import warnings
from typing import Any

from siamesekit import registry
from siamesekit._checks import check_choice, check_flag
from siamesekit._params import Part
from siamesekit._random import drawing_from
from siamesekit.errors import PluginCheckError
from siamesekit.testing._export import check_export
from siamesekit.testing._findings import SEED, Findings
from siamesekit.testing._global_generators import watching_global_generators
from siamesekit.testing._parameters import check_parameters

__all__ = ["check_plugin"]


def check_plugin(kind: str, name: str | type[Any] | object, *, export: bool = True) -> None:
    """Check that a part keeps the contract of its kind; say all that is missing at once.

    The part is made with its default parameters (give an instance to check others) and run on
    the CPU. What is checked:

    - every kind: ``get_params``, ``set_params`` and ``clone`` go round (of augmentations and
      readers, which may be plain callables, where they have parameters); the global generators of
      torch, NumPy and Python are left alone, and so is what is given: items, embeddings, labels;
    - backbones: embeddings are float of shape (b, d), of one item too, depend on their own item
      alone and not all alike, are the same twice in ``eval()``, also in bfloat16; a gradient
      reaches every weight; what `finish` returns embeds too;
    - heads: ``pairs`` is the diagonal of ``forward``, order does not matter, a score depends on
      its two items alone, gradients are finite, `gives` says what a score is, and where that is a
      distance nothing is more like an item than itself; `of_any_length` is kept where it is said;
    - losses: a finite scalar with a finite gradient, of a batch and of some of its rows, whose
      place is `start`; the shares of two processes make up the loss of the batch (`RowLoss`); a
      differentiable 0 for an empty choice; not-a-number, soon, from what is not a number; other
      labels give another gradient, and scores that are in order cost less than such that are not;
    - heads and losses: float32 gives float32, and float64 gives float64 (a loss on embeddings may
      compute in float32); bfloat16 under autocast gives finite numbers near those of float32, with
      a finite gradient;
    - backbones, heads and losses: under ``DistributedDataParallel`` with one process (gloo) the
      gradient is the same;
    - backbones and heads: exported as ONNX they give the same numbers, where that is installed and
      they can be; a head compares as the name says that its own `export` gives it;
    - miners: int64 positions in the batch whose labels make valid pairs or triplets, also where
      a batch holds one class; an end where scores are not numbers;
    - samplers: batches of valid positions that depend on seed and epoch alone; no item twice in
      a batch, and in some batch items of one class and of different ones;
    - indexes: what is added is found, by its score, what is removed is not, and a saved index is
      the same;
    - augmentations: a batch of the same shape and type, on the same device, that depends on the
      generator alone, and each item of it on that item;
    - readers: an item of one to three dimensions and finite numbers from a file, the same twice,
      and an error where there is no file;
    - callbacks: an answer that is True, False or None at each moment of a training, whose record
      stays as it is; a pickle.

    Parameters
    ----------
    kind : str
        One of `siamesekit.registry.KINDS`.
    name : str, type or instance
        A registered name, a class or an instance. An instance is left as it is.
    export : bool
        Whether a backbone or a head that keeps the rest is exported too, which takes seconds.

    Raises
    ------
    PluginCheckError
        If anything is missing; its message lists everything that is.
    InvalidParameterError
        If `kind` is none of these, or `export` is no bool.
    UnknownPartError, PluginImportError, PluginConflictError
        If the name does not lead to a class.

    Warns
    -----
    UserWarning
        Of what could not be checked here, and why: a package is not installed, say.
    """
    check_choice("kind", kind, registry.KINDS)
    check_flag("export", export)
    contract = importlib.import_module(f"siamesekit.testing.{kind}")
    # A name that leads nowhere is no fault of the part: the registry's own error says more.
    spec = registry.get(kind, name) if isinstance(name, str) else name
    found = Findings()
    with watching_global_generators(found), drawing_from(SEED):
        with found.attempt("making it with its default parameters"):
            part = spec() if isinstance(spec, type) else copy.deepcopy(spec)
            base = contract.BASE
            found.expect(isinstance(part, base), f"it must be a {base.__module__}.{base.__name__}")
        if not found.missing:
            if isinstance(part, Part):
                check_parameters(part, found)
            with found.attempt("being checked"):
                contract.check(part, found)
        # Last, for it takes seconds.
        if export and not found.missing:
            check_export(part, found)
    if found.missing:
        listed = "".join(f"\n- {message}" for message in found.missing)
        shown = name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
        raise PluginCheckError(f"{shown!r} does not keep the contract of {kind}:{listed}")
    for what in found.unchecked:
        warnings.warn(f"check_plugin({kind!r}, …) left unchecked: {what}.", stacklevel=2)
