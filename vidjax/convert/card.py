"""What a file of variables says of itself, in the metadata of safetensors."""

import dataclasses
import importlib.metadata
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.convert.variables import count_classes, flatten
from vidjax.models.registry import model_card

MODEL = "model"
"""Key of the registered name."""


def make_metadata(
    name: str,
    variables: Mapping[str, Any],
    *,
    labels: Sequence[str] = (),
    licence: str = "",
    **notes: str,
) -> dict[str, str]:
    """Describes variables, for `save_variables`.

    Args:
        name: A registered name.
        variables: {"params": ..., "batch_stats": ...}: nested dicts of arrays.
        labels: Names of the K classes, or nothing.
        licence: Licence of the weights.
        notes: More texts, such as the SHA-256 of the file that they come from.

    Returns:
        Texts: the model, the version of vidjax, the clip as JSON, the classes, their
        names as JSON, the licence, and the notes; nothing that is empty.

    Raises:
        ValueError: If there is no such model, or the labels are not as many as the
            classes.
    """
    card = model_card(name)
    classes = count_classes(flatten(variables))
    if labels and len(labels) != classes:
        raise ValueError(f"{len(labels)} labels do not name {classes} classes.")
    texts = {
        "format": "vidjax",
        MODEL: name,
        "vidjax": importlib.metadata.version("vidjax"),
        "clip": json.dumps(dataclasses.asdict(card.clip)),
        "classes": str(classes),
        "labels": json.dumps(list(labels)) if labels else "",
        "licence": licence,
        "paper": card.paper,
        **notes,
    }
    return {key: text for key, text in texts.items() if text}


def read_metadata(path: pathlib.Path) -> dict[str, str]:
    """Reads what a file says of itself.

    Args:
        path: Any file.

    Returns:
        Texts by key; none if it is not a safetensors file or says nothing.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError):
        return {}


def check_model(path: pathlib.Path, name: str) -> None:
    """Checks that a file is not one of another model.

    Args:
        path: Any file.
        name: A registered name.

    Raises:
        ValueError: If the file says that it is for another model.
    """
    found = read_metadata(path).get(MODEL, name)
    if found != name:
        raise ValueError(
            f"{path} holds variables of {found}, not of {name}. `read_arrays` and "
            "`from_arrays` take them nevertheless, if they fit."
        )


def describe(metadata: Mapping[str, str], repo: str) -> str:
    """Writes the page of a model on the Hub.

    Args:
        metadata: From `make_metadata`.
        repo: Where the model is, such as "user/name".

    Returns:
        Markdown with a header of YAML.
    """
    header = {
        "library_name": "vidjax",
        "license": metadata.get("licence", "").lower(),
        "pipeline_tag": "video-classification",
    }
    lines = [f"{key}: {json.dumps(text)}" for key, text in header.items() if text]
    rows = "\n".join(
        f"- {key}: {text}"
        for key, text in metadata.items()
        if key not in ("format", "labels")
    )
    return "\n".join(
        (
            *("---", *lines, "---", "", f"# {metadata[MODEL]}", ""),
            *("```python", "import vidjax", ""),
            *(f'name, variables = vidjax.from_pretrained("{repo}")', "```", ""),
            *(rows, ""),
        )
    )
