"""Models on the Hugging Face Hub, or in folders laid out as there."""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.convert.card import MODEL, describe, make_metadata, read_metadata
from vidjax.convert.load import load_variables, save_variables
from vidjax.convert.variables import Head, Variables

FILE = "model.safetensors"
"""Name of the weights in a repository or folder."""

_PAGE = "README.md"


def from_pretrained(
    repo_or_folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    num_classes: int | None = None,
    head: Head = "keep",
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> tuple[str, Variables]:
    """Loads a model that `push` wrote.

    Args:
        repo_or_folder: A folder or, where there is none of that name, a repository of
            the Hub such as "user/name".
        name: Registered name of the model; None takes the one that the file gives.
        num_classes: As in `from_arrays`; None takes the classes of the weights.
        head: As in `from_arrays`.
        revision: Branch, tag or commit of the repository; None is its main branch.
        token: Access token for private repositories; None takes the one of this
            machine's login.
        endpoint: Address of the Hub; None takes HF_ENDPOINT, or the public Hub.

    Returns:
        The registered name, for `create_model` and `model_card`, and the variables:
        nested dicts of float32 NumPy arrays.

    Raises:
        ValueError: If there is no such folder or repository, it says no name and none
            is given, it is of another model than `name`, or the weights do not fit.
        ImportError: If huggingface_hub is needed and not installed.
    """
    path = _find(repo_or_folder, revision, token, endpoint)
    metadata = read_metadata(path)
    name = name or metadata.get(MODEL)
    if name is None:
        raise ValueError(f"{path} does not say which model it is of: name=... does.")
    if num_classes is None and "classes" in metadata:
        num_classes = int(metadata["classes"])
    return name, load_variables(name, path, num_classes=num_classes, head=head)


def push(
    repo_or_folder: str | os.PathLike[str],
    name: str,
    variables: Mapping[str, Any],
    *,
    labels: Sequence[str] = (),
    licence: str = "",
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Writes a model to the Hub, or into a folder, for `from_pretrained`.

    Args:
        repo_or_folder: A repository such as "user/name", made if it is not there; or a
            folder, which is a `pathlib.Path` or begins with ".", "/" or "~".
        name: A registered name.
        variables: {"params": ..., "batch_stats": ...}: nested dicts of arrays.
        labels: Names of the K classes, or nothing.
        licence: Licence of the weights, such as "apache-2.0".
        private: Whether a repository that is made is private.
        revision: Branch of the repository; None is its main branch.
        token: As in `from_pretrained`.
        endpoint: As in `from_pretrained`.

    Returns:
        The address of the commit, or the folder.

    Raises:
        ValueError: If there is no such model, or the labels are not as many as the
            classes.
        ImportError: If huggingface_hub is needed and not installed.
    """
    metadata = make_metadata(name, variables, labels=labels, licence=licence)
    if _is_folder(repo_or_folder):
        folder = pathlib.Path(repo_or_folder).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, variables, metadata, str(repo_or_folder))
        return str(folder)
    repo = str(repo_or_folder)
    api = _hub().HfApi(endpoint=endpoint, token=token)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vidjax-"))
    try:
        _write(folder, variables, metadata, repo)
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            revision=revision,
            commit_message=f"Upload {name}",
        )
    finally:
        shutil.rmtree(folder)
    return str(commit.commit_url)


def _write(
    folder: pathlib.Path,
    variables: Mapping[str, Any],
    metadata: Mapping[str, str],
    repo: str,
) -> None:
    save_variables(folder / FILE, variables, metadata)
    (folder / _PAGE).write_text(describe(metadata, repo), encoding="utf-8")


def _find(
    repo_or_folder: str | os.PathLike[str],
    revision: str | None,
    token: str | None,
    endpoint: str | None,
) -> pathlib.Path:
    """The file of weights, downloaded if need be."""
    folder = pathlib.Path(repo_or_folder).expanduser()
    if folder.is_dir() or _is_folder(repo_or_folder):
        if not (folder / FILE).is_file():
            raise ValueError(f"There is no {FILE} in {folder}.")
        return folder / FILE
    repo, hub = str(repo_or_folder), _hub()
    try:
        api = hub.HfApi(endpoint=endpoint, token=token)
        return pathlib.Path(api.hf_hub_download(repo, FILE, revision=revision))
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{repo} is no folder, and nothing came from the Hub: {reason}"
        ) from error


def _is_folder(repo_or_folder: str | os.PathLike[str]) -> bool:
    is_path = not isinstance(repo_or_folder, str)
    return is_path or repo_or_folder.startswith((".", "/", "~"))


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ImportError(
            "huggingface_hub is needed for the Hub, and is not installed: pip install "
            '"vidjax[hub]".'
        ) from error
    return huggingface_hub
