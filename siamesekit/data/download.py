"""Files of a data set: in a folder of the user's, or fetched by pooch."""

import os
from pathlib import Path

from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["cache_folder", "fetch"]


def cache_folder() -> Path:
    """Return the folder for downloads and caches: ``SIAMESEKIT_CACHE``, or the user's cache."""
    named = os.environ.get("SIAMESEKIT_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "siamesekit"


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
            path=cache_folder() / folder,
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
