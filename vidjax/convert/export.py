"""Variables of a registered model as arrays of another code base."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vidjax.convert.backward import can_restore, restore
from vidjax.convert.families import find_family
from vidjax.convert.foreign import find_namings, namings
from vidjax.convert.rules import VIDJAX, check_fit
from vidjax.convert.variables import abstract_variables, count_classes, flatten
from vidjax.models.registry import create_model, model_card


def to_arrays(
    name: str,
    variables: Mapping[str, Any],
    naming: str = "torchvision",
    *,
    clip_shape: tuple[int, ...] | None = None,
) -> dict[str, np.ndarray]:
    """Converts variables of a registered model back, for use elsewhere.

    It undoes `from_arrays` bit for bit. Counters such as PyTorch's
    `num_batches_tracked`, which hold no weights, are not made up.

    Args:
        name: A registered name.
        variables: {"params": ..., "batch_stats": ...}: nested dicts of arrays.
        naming: Name of the naming or of its code base; `writable_namings` lists them.
        clip_shape: Shape (T, H, W, C) of the clips, where the parameters depend on it;
            None takes the card's.

    Returns:
        NumPy arrays of any shape by name, ready for `safetensors.numpy.save_file`;
        in PyTorch `load_state_dict(safetensors.torch.load_file(path))` takes them.

    Raises:
        ValueError: If the model or the naming is unknown, variables cannot be written
            in it, or they are not of this model: all that is wrong, in one message.

    Example:
        >>> import vidjax, jax, jax.numpy as jnp
        >>> model = vidjax.create_model("resnet_tiny")
        >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        >>> to_arrays("resnet_tiny", variables)["conv1.weight"].shape
        (16, 3, 3, 3)
    """
    arrays = flatten(variables)
    tables = [table for table in find_namings(name, naming) if can_restore(table)]
    if not tables:
        raise ValueError(
            f"Weights of {name} can be read in the naming of {naming} and not written. "
            f"They can be written in: {', '.join(writable_namings(name))}."
        )
    classes = count_classes(arrays)
    card = model_card(name)
    family = find_family(card.family)
    shape = clip_shape or family.made_for(arrays, card.clip.shape)
    arguments = {} if card.task == "flow" else {"num_classes": classes}
    want = abstract_variables(create_model(name, **arguments), shape)
    family.settle(arrays, want, VIDJAX.name)
    if problems := check_fit(arrays, want):
        raise ValueError(
            f"The variables are not of {name}:\n  " + "\n  ".join(sorted(problems))
        )
    for table in tables[:-1]:  # A code base may have one for every variant.
        with contextlib.suppress(ValueError):
            return restore(arrays, table)
    return restore(arrays, tables[-1])


def writable_namings(name: str) -> list[str]:
    """Returns the namings in which `to_arrays` can write a model.

    Args:
        name: A registered name.

    Returns:
        Their names; "vidjax" is the last.

    Raises:
        ValueError: If there is no such model.

    Example:
        >>> writable_namings("resnet50")
        ['torchvision', 'vidjax']
    """
    return [key for key, table in namings(name).items() if can_restore(table)]
