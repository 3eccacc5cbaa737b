"""Teach a network to compare, then recognise new classes from one example.

Four words: embed → compare → choose → charge. A backbone embeds items, a head compares the
embeddings, a miner chooses the comparisons worth training on, and a loss charges for wrong ones.
"""

from typing import TYPE_CHECKING, Any

from siamesekit._lazy import lazy

if TYPE_CHECKING:
    from siamesekit.catalogue import PartInfo, describe, list_parts
    from siamesekit.errors import SiamesekitError
    from siamesekit.estimators import (
        SiameseClassifier,
        SiameseEmbedder,
        SiameseVerifier,
        load,
    )
    from siamesekit.gallery import Gallery
    from siamesekit.registry import register

    __version__: str

__all__ = [
    "Gallery",
    "PartInfo",
    "SiameseClassifier",
    "SiameseEmbedder",
    "SiameseVerifier",
    "SiamesekitError",
    "__version__",
    "describe",
    "list_parts",
    "load",
    "register",
]

_NAMES = {
    "Gallery": "siamesekit.gallery",
    "PartInfo": "siamesekit.catalogue",
    "SiameseClassifier": "siamesekit.estimators",
    "SiameseEmbedder": "siamesekit.estimators",
    "SiameseVerifier": "siamesekit.estimators",
    "SiamesekitError": "siamesekit.errors",
    "describe": "siamesekit.catalogue",
    "list_parts": "siamesekit.catalogue",
    "load": "siamesekit.estimators",
    "register": "siamesekit.registry",
}
_SUBMODULES = (
    "backbones",
    "catalogue",
    "cli",
    "data",
    "environment",
    "errors",
    "estimators",
    "evaluation",
    "experiments",
    "gallery",
    "heads",
    "losses",
    "miners",
    "plots",
    "recipes",
    "registry",
    "samplers",
    "testing",
    "training",
)

# What these hold, scikit-learn and more, takes a second to import: not before it is asked for.
_of_names, __dir__ = lazy(__name__, _NAMES, _SUBMODULES, __all__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("siamesekit")
    return _of_names(name)
