"""Models on a hub, through huggingface_hub: folders as `save` writes them, and nothing else.

What comes from there is json and safetensors: numbers, and names of parts in the registry. Nothing
of it is run or unpickled.
"""

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any, TypeGuard

from siamesekit._checks import check_kind, first_line, shown
from siamesekit.errors import HubError, InvalidParameterError, PluginImportError
from siamesekit.estimators._card import is_own
from siamesekit.estimators._folder import CARD, DESCRIPTION

__all__ = ["PREFIX", "check_local", "fetched", "is_on_a_hub", "parsed", "pushed"]

PREFIX = "hf:"
_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)
_WANTED = "'hf:owner/name' or 'hf:owner/name@revision'"
# Files of tensors of a model that was there before, and of no other's.
_TENSORS = ["weights*.safetensors", "gallery*.safetensors", "pairs*.safetensors"]


def is_on_a_hub(path: object) -> TypeGuard[str]:
    """Return whether a path is not of a file, but the name of a model on a hub."""
    return isinstance(path, str) and path.startswith(PREFIX)


def check_local(name: str, path: object) -> None:
    """Raise an error if what is to be written here would be looked for on a hub by `load`.

    Raises
    ------
    InvalidParameterError
    """
    if is_on_a_hub(path):
        raise InvalidParameterError(
            f"{name} must be a folder of this machine; got {shown(path)}, a name on a hub: "
            "push_to_hub writes there."
        )


def parsed(name: str, argument: str = "name") -> tuple[str, str | None]:
    """Return the repository and the revision that a name stands for.

    Parameters
    ----------
    name : str
        ``"hf:owner/name"``, or ``"hf:owner/name@revision"``.
    argument : str
        What the name was given as.

    Raises
    ------
    InvalidParameterError
        If it is no such name.
    """
    found = _NAME.fullmatch(name.removeprefix(PREFIX))
    if found is None:
        raise InvalidParameterError(f"{argument} must be {_WANTED}; got {shown(name)}.")
    return found[1], found[2]


def fetched(name: str, argument: str = "name") -> Path:
    """Return the folder of a model from the hub, downloaded unless it was before.

    Parameters
    ----------
    name, argument : str
        As `parsed` takes them.

    Raises
    ------
    HubError
        If it is not there, or cannot be reached and was not downloaded before.
    """
    repository, revision = parsed(name, argument)
    hub = _package()
    try:
        folder = hub.snapshot_download(
            repository, revision=revision, allow_patterns=[DESCRIPTION, "*.safetensors"]
        )
    except Exception as error:  # of its own, of its client for HTTP, of the file system
        raise HubError(
            f"{name} cannot be downloaded, and was not before ({type(error).__name__}: "
            f"{first_line(error)}). Without a network, or with HF_HUB_OFFLINE=1, only what is in "
            "the cache of huggingface_hub can be loaded."
        ) from error
    return Path(folder)


def pushed(
    estimator: Any,
    name: str,
    *,
    private: bool | None,
    token: str | None,
    message: str,
    results: Any,
) -> str:
    """Write a model to the hub; return the name of just this revision of it.

    Parameters
    ----------
    estimator : fitted estimator
    name : str
        As `parsed` takes it; the revision is a branch.
    private : bool or None
        Of a repository that is made by it.
    token : str or None
    message : str
    results : sequence of Result
        For the card.

    Raises
    ------
    HubError
        If it cannot be reached, or refuses.
    """
    repository, branch = parsed(name)
    check_kind("message", message, str)
    hub = _package()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        estimator.save(folder, results)
        try:
            api = hub.HfApi(token=token)
            api.create_repo(repository, private=private, exist_ok=True)
            if branch is not None:
                api.create_branch(repository, branch=branch, exist_ok=True)
            keep = _others_card(api, repository, branch)
            done = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=branch,
                commit_message=message,
                ignore_patterns=[CARD] if keep else None,
                delete_patterns=_TENSORS,
            )
        except Exception as error:  # as in `fetched`
            raise HubError(
                f"{name} cannot be written to ({type(error).__name__}: {first_line(error)})."
            ) from error
    if keep:
        warnings.warn(
            f"{CARD} of {name} was written or changed by hand, and stays as it is.", stacklevel=3
        )
    return f"{PREFIX}{repository}@{done.oid}"


def _others_card(api: Any, repository: str, branch: str | None) -> bool:
    """Return whether there is a card that was not written here."""
    if not api.file_exists(repository, CARD, revision=branch):
        return False
    text = Path(api.hf_hub_download(repository, CARD, revision=branch)).read_bytes()
    return not is_own(text.decode("utf-8", "replace"))


def _package() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise PluginImportError(
            'a name that begins with "hf:" needs huggingface_hub: pip install "siamesekit[hub]".'
        ) from error
    return huggingface_hub
