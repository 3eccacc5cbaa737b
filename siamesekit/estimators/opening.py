"""Whatever was saved, opened: an estimator's folder, here or on a hub, or a gallery's file."""

import os
from inspect import signature
from typing import Any

from siamesekit._checks import check_known, check_path
from siamesekit.errors import SavedModelError
from siamesekit.estimators import _folder
from siamesekit.estimators._huggingface_hub import fetched, is_on_a_hub
from siamesekit.estimators._saving import read_description
from siamesekit.estimators.base import SiameseEstimator, family
from siamesekit.gallery import Gallery

__all__ = ["load"]


def load(path: str | os.PathLike[str], **parts: Any) -> SiameseEstimator | Gallery:
    """Return what was saved at a path, as what it was saved by.

    Parameters
    ----------
    path : path-like
        Folder that an estimator's ``save`` wrote, or file that a gallery's did; or
        ``"hf:owner/name"`` or ``"hf:owner/name@revision"``, which stand for what ``push_to_hub``
        wrote there: as for ``from_pretrained``. (A folder of such a name is
        ``Path("hf:owner/name")``.)
    **parts
        As for the ``load`` of that class: arguments that have no name in the registry
        (``backbone=MyNet()``) or are to be replaced (``device="cpu"``); of a gallery its ``head``
        and so on.

    Returns
    -------
    SiameseClassifier, SiameseVerifier, SiameseEmbedder or Gallery

    Raises
    ------
    SavedModelError
        If there is nothing, or it is damaged or of a newer version.
    InvalidParameterError
        If `parts` names no argument, or what follows ``"hf:"`` is no name.
    HubError
        If it is not on the hub, or that cannot be reached and the model is not here either.
    PluginImportError
        If huggingface_hub is wanted and not installed (``siamesekit[hub]``).

    Examples
    --------
    >>> import tempfile
    >>> import siamesekit
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     siamesekit.SiameseEmbedder.from_pretrained("omniglot").save(folder)
    ...     type(siamesekit.load(folder)).__name__
    'SiameseEmbedder'
    """
    checked = fetched(path, "path") if is_on_a_hub(path) else check_path("path", path)
    if not checked.is_dir():
        check_known(parts, list(signature(Gallery.load).parameters)[1:], "Gallery.load")
        return Gallery.load(checked, **parts)
    try:
        with _folder.opened(checked) as files:
            _, saved_by = read_description(family(), files)
    except SavedModelError as error:
        raise SavedModelError(f"{checked} cannot be loaded: {error}.") from error
    opened: SiameseEstimator = saved_by.load(checked, **parts)
    return opened
