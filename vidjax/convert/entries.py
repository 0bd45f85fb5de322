"""Which part of a file holds the weights: beside epochs, optimizers, averaged copies.

What is unambiguous is taken. Where a file holds several networks, or one and its moving
average, the reader of the file says which one it wants.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

# Keys under which training code puts the weights; "blobs" is Caffe2's.
_WRAPPERS = (
    *("state_dict", "model_state", "model_state_dict", "model", "module", "blobs"),
)
# Moving averages of the weights: timm's, ActionFormer's, torchvision's.
_AVERAGES = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema_state", "ema"),
    *("ema_params", "params_ema"),
)
# One network of several: V-JEPA 2's, DINO's.
_NETWORKS = (
    *("encoder", "target_encoder", "predictor", "classifiers", "student", "teacher"),
)
# Beside the weights: what only the next update needs, and notes on the run.
_TRAINING = re.compile(
    ".*(optim|sched|scaler|callback|hparam|hyper_param|message_hub|metric|loss).*"
    "|opt|opt_state|amp|lr|args|cfg|config|meta|metadata|loops|rng|rngs"
)
# Of optimizers of Caffe2, among its weights.
_CAFFE2_TRAINING = re.compile(".*_momentum|lr|model_iter")
# Prefixes of nn.DataParallel (around V-JEPA 2's wrapper as well), of Lightning-like
# wrappers and of torch.compile.
_PREFIXES = (
    *("module.backbone.", "module.", "model.", "_orig_mod."),
    *("state_dict/", "model_state/"),
)
_AVERAGE_COUNT = "n_averaged"  # Beside what torch.optim.swa_utils averages.
_EVERYTHING = "/"


def clean(tree: Mapping[str, Any], entry: str | None = None) -> dict[str, np.ndarray]:
    """Returns the arrays of a nested dict, without wrappers and common prefixes.

    Args:
        tree: Nested dicts and lists of arrays and other things.
        entry: Which part of it to take, such as "target_encoder"; nested ones are
            joined by "/", and "/" alone is everything. None takes the weights where
            they are the only ones.

    Returns:
        Arrays of any shape by name; nested names are joined by "/". bfloat16 becomes
        float32.

    Raises:
        ValueError: If there are several candidates and `entry` names none, there is no
            such entry, or two arrays have one name.

    Example:
        >>> sorted(clean({"epoch": 3, "state_dict": {"module.fc.bias": np.ones(2)}}))
        ['fc.bias']
    """
    part = _walk(tree, entry) if entry else tree
    if entry != _EVERYTHING:
        part = _unwrap(part)
    arrays: dict[str, np.ndarray] = {}
    for name, array in _leaves(part):
        if name in arrays:
            raise ValueError(f"Two arrays are called {name!r}.")
        arrays[name] = array
    while prefix := _common_prefix(arrays):
        arrays.pop(_AVERAGE_COUNT, None)
        arrays = {name.removeprefix(prefix): a for name, a in arrays.items()}
    return arrays


def _walk(tree: Any, entry: str) -> Any:
    for key in filter(None, entry.split("/")):
        children = {str(k): child for k, child in _children(tree)}
        if not _is_container(children.get(key)):
            near = difflib.get_close_matches(key, children, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(k for k, c in children.items() if _is_container(c))
            raise ValueError(
                f"There is no entry {entry!r}.{hint} Entries: {known or 'none'}."
            )
        tree = children[key]
    return tree


def _unwrap(tree: Any) -> Any:
    """Goes down to the weights, as long as there is one way."""
    if isinstance(tree, (list, tuple)) and len(tree) == 1:
        return _unwrap(tree[0])
    if not isinstance(tree, Mapping):
        return tree
    tree = {
        key: value
        for key, value in _flax_state(tree).items()
        if _is_weights(key, value)
    }
    if any(_is_array(value) and value.ndim for value in tree.values()):
        return tree
    parts = [key for key, value in tree.items() if any(True for _ in _leaves(value))]
    parts = [key for key in parts if _is_container(tree[key])]
    sure = [key for key in parts if key in (*_WRAPPERS, *_AVERAGES)]
    known = sure or [key for key in parts if key in _NETWORKS]
    if len(parts) > 1 and (sure or len(known) > 1):
        raise ValueError(
            f"Several parts hold arrays: {', '.join(map(str, parts))}. "
            f'entry="{known[0]}" takes one of them, entry="/" all.'
        )
    if len(parts) > 1 or not known:
        return tree
    if known == ["blobs"]:
        blobs = tree["blobs"].items()
        return {k: v for k, v in blobs if not _CAFFE2_TRAINING.fullmatch(k)}
    return _unwrap(tree[known[0]])


def _flax_state(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Flax train state as collections of variables: vidjax's, Scenic's old and new.

    Before Linen's train states, Scenic kept the parameters at optimizer/target.
    """
    optimizer, params = tree.get("optimizer"), tree.get("params")
    if isinstance(optimizer, Mapping) and isinstance(optimizer.get("target"), Mapping):
        params = optimizer["target"]
        params = params.get("params", params)
    elif not {"model_state", "opt_state"} & tree.keys():
        return tree
    if not isinstance(params, Mapping):
        return tree
    others = {
        key: value
        for key, value in tree.items()
        if key not in ("params", "model_state") and isinstance(value, Mapping)
    }
    return {"params": params, **(tree.get("model_state") or {}), **others}


def _is_weights(key: Any, value: Any) -> bool:
    return _is_array(value) or not _TRAINING.fullmatch(str(key))


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_container(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple))


def _children(tree: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(tree, Mapping):
        yield from tree.items()
    elif isinstance(tree, Sequence) and not isinstance(tree, (str, bytes)):
        yield from enumerate(tree)


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Arrays by joined name; numbers, strings and other things are left out."""
    if _is_array(tree):
        array = np.asarray(tree)
        yield prefix, array.astype("f4") if array.dtype.name == "bfloat16" else array
    for key, value in _children(tree):
        yield from _leaves(value, f"{prefix}/{key}" if prefix else str(key))


def _common_prefix(arrays: Mapping[str, Any]) -> str:
    names = [name for name in arrays if name != _AVERAGE_COUNT]
    for prefix in _PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            return prefix
    return ""
