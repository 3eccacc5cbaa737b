"""EfficientWord-Net's network as a backbone."""

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siamesekit.backbones import Backbone
from siamesekit.errors import (
    CorruptDatasetError,
    DatasetNotFoundError,
    InvalidDataError,
    PluginImportError,
)
from siamesekit_spoken_words.features import centred, log_mel

__all__ = ["SpokenWords"]

_FILE = "models/resnet_50_arc/slim_93%_accuracy_72.7390%.onnx"


class SpokenWords(Backbone):
    """ResNet-50 from a word of up to 1.5 seconds to 2,048 numbers of length 1, for the cosine.

    Trained by the authors of EfficientWord-Net [1]_ on words of English speech, with the ArcFace
    loss. It serves as it is: onnxruntime computes it, on the processor, and nothing in it learns.

    Parameters
    ----------
    weights : path-like, optional
        ``slim_93%_accuracy_72.7390%.onnx``; by default that of the distribution EfficientWord-Net.

    Notes
    -----
    Items are sounds at 16,000 samples a second, mono, in [-1, 1] (their loudness does not matter);
    of other lengths than 24,000 samples their middle is heard, or silence around them. Silence
    alone has no embedding (not-a-number), which a gallery refuses by name.

    References
    ----------
    .. [1] R. Chidhambararajan et al., "EfficientWord-Net: an open source hotword detection engine
       based on few-shot learning", J. Information & Knowledge Management 21, 2022.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.weights = weights

    def layers(self, input_shape: tuple[int, ...]) -> nn.Module:  # noqa: D102
        if len(input_shape) != 1:
            raise InvalidDataError(
                "spoken-words takes sounds of shape (n,), 16,000 samples a second; "
                f"got items of shape {tuple(input_shape)}."
            )
        network = _Network(str(_own_file() if self.weights is None else self.weights))
        _session(network.path)  # what is wrong with the file is said before training
        return network


class _Network(nn.Module):
    """Holds the path alone, so that it can be copied and pickled."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        session, name = _session(self.path)
        embeddings = [
            # The network was written for one word at a time.
            session.run(None, {name: log_mel(centred(sound))[None, None].astype(np.float32)})[0]
            for sound in x.detach().cpu().double().numpy()
        ]
        return torch.from_numpy(np.concatenate(embeddings)).to(x.device)


@lru_cache(maxsize=4)
def _session(path: str) -> tuple[Any, str]:
    """Return the network in a file, and the name of what goes into it."""
    import onnxruntime

    if not Path(path).is_file():
        raise DatasetNotFoundError(f"weights must be an ONNX file; {path} is not there.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (given,), (made,) = session.get_inputs(), session.get_outputs()
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise CorruptDatasetError(
            f"{path} is no network that onnxruntime reads: {error}"
        ) from error
    if given.shape != [1, 1, 149, 64] or len(made.shape) != 2:
        raise CorruptDatasetError(
            f"{path} must take log-mel energies of shape (1, 1, 149, 64) and give an embedding; "
            f"it takes {given.shape} and gives {made.shape}."
        )
    return session, given.name


def _own_file() -> Path:
    # Found, not imported: the package's engine imports PyAudio.
    spec = find_spec("eff_word_net")
    for place in () if spec is None else spec.submodule_search_locations or ():
        path = Path(place) / _FILE
        if path.is_file():
            return path
    raise PluginImportError(
        f"spoken-words needs {Path(_FILE).name}, which the distribution EfficientWord-Net brings; "
        "pip install --no-deps EfficientWord-Net"
    )
