"""What is exported answers as what it was exported from."""

from functools import partial

import torch

from siamesekit.backbones import Backbone
from siamesekit.errors import InvalidParameterError, PluginImportError
from siamesekit.estimators import _exporting
from siamesekit.heads import Head
from siamesekit.testing._findings import DIM, Findings

__all__ = ["check_export"]


def check_export(part: object, found: Findings) -> None:
    """Write a backbone or a head as ONNX, and embed or compare by it.

    Parameters
    ----------
    part : object
        Built, if it is a backbone or a head. Other kinds are not exported.
    found : Findings
        Takes what is missing. What cannot be written is no fault: it is left unchecked.
    """
    if isinstance(part, Backbone):
        assert part.input_shape is not None
        part.eval()
        write = partial(_exporting.written_backbone, part, part.input_shape)
        check = partial(
            _exporting.check_backbone,
            backbone=part,
            shape=part.input_shape,
            device=torch.device("cpu"),
        )
    elif isinstance(part, Head):
        write = partial(_exporting.written_head, part, DIM)
        check = partial(_exporting.check_head, head=part, dim=DIM)
    else:
        return
    try:
        _exporting.check_packages()
        data = write()
    except (PluginImportError, InvalidParameterError) as error:
        found.leave(str(error).rstrip("."))
        return
    with found.attempt("its export"):
        check(data)
