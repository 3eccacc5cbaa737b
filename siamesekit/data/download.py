"""Files of a data set: in a folder of the user's, or fetched by pooch."""

import os
import sys
from pathlib import Path

from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["cache_folder", "fetch"]


def cache_folder() -> Path | None:
    """Return the folder for downloads and caches, or None where the user has no home.

    It is the one that the environment variable ``SIAMESEKIT_CACHE`` names, or ``siamesekit`` in
    the user's caches: ``%LOCALAPPDATA%`` on Windows, ``~/Library/Caches`` on macOS,
    ``$XDG_CACHE_HOME`` or ``~/.cache`` elsewhere.
    """
    try:
        named = os.environ.get("SIAMESEKIT_CACHE")
        return Path(named).expanduser() if named else _user_caches() / "siamesekit"
    except RuntimeError:  # pathlib finds no home
        return None


def _user_caches() -> Path:
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    named = Path(os.environ.get(variable, ""))
    # A relative path is to be ignored, says the XDG base directory specification.
    if named.is_absolute() and sys.platform != "darwin":
        return named
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def fetch(url: str, known_hash: str, folder: str) -> Path:
    """Return the local copy of a file, downloaded once, with its checksum verified.

    Parameters
    ----------
    url : str
    known_hash : str
        ``"md5:…"`` or ``"sha256:…"``.
    folder : str
        Below the cache folder.

    Raises
    ------
    DatasetNotFoundError
        If pooch is not installed or the file cannot be had.
    CorruptDatasetError
        If what comes is another file.
    """
    cache = cache_folder()
    if cache is None:
        raise DatasetNotFoundError(
            f"there is no home folder to keep {url} in: pass root, or let the environment "
            "variable SIAMESEKIT_CACHE name a folder."
        )
    try:
        import pooch
    except ImportError as error:
        raise DatasetNotFoundError(
            f"root was not given, and downloading {url} needs pooch: "
            'pip install "siamesekit[data]", or pass root.'
        ) from error
    try:
        path: str = pooch.retrieve(
            url,
            known_hash=known_hash,
            fname=url.rsplit("/", 1)[-1],
            path=cache / folder,
            progressbar=True,
        )
    except OSError as error:
        raise DatasetNotFoundError(
            f"{url} cannot be downloaded ({type(error).__name__}: {error}); "
            "get the file by hand and pass the folder that holds it as root."
        ) from error
    except ValueError as error:
        raise CorruptDatasetError(
            f"{url} gives another file than the one of this data set, whose checksum is "
            f"{known_hash}."
        ) from error
    return Path(path)
