"""Fields of an experiment by their dotted names: set, checked, to JSON and back."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from vidjax.config.experiment import Config


def override(config: Config, values: Mapping[str, Any]) -> Config:
    """Returns the experiment with other values in some fields.

    Args:
        config: An experiment.
        values: New values by dotted field, such as {"optim.learning_rate": 0.05}; below
            `model_args` any name is allowed.

    Returns:
        A new experiment; `config` is unchanged.

    Raises:
        ValueError: If a name is no field (the near name is suggested) or a value is not
            one of the field's choices; all such problems in one message.
        TypeError: If a value has the wrong type.

    Example:
        >>> override(Config(model="i3d_rgb"), {"data.batch_size": 8}).data.batch_size
        8
    """
    unknown, mistyped = [], []
    for name, value in values.items():
        try:
            config = _replace(config, name.split("."), value, name)
        except ValueError as error:
            unknown.append(str(error))
        except TypeError as error:
            mistyped.append(str(error))
    if unknown:
        raise ValueError("\n".join(unknown + mistyped))
    if mistyped:
        raise TypeError("\n".join(mistyped))
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """Returns an experiment as plain dicts, lists and scalars, ready for JSON.

    Args:
        config: An experiment.

    Returns:
        Its fields by name.
    """
    return _plain(dataclasses.asdict(config))


def from_dict(values: Mapping[str, Any]) -> Config:
    """Returns the experiment that `to_dict` wrote.

    Args:
        values: What `to_dict` returned, also after a trip through JSON.

    Returns:
        The experiment.

    Raises:
        TypeError: If a field is unknown or has the wrong type.

    Example:
        >>> from_dict(to_dict(Config(model="c3d"))) == Config(model="c3d")
        True
    """
    return _build(Config, values, "")


def _replace(node: Any, path: list[str], value: Any, full: str) -> Any:
    """Sets one dotted field of nested frozen dataclasses."""
    head, *rest = path
    if isinstance(node, Mapping):
        key = ".".join(path)
        return {**node, key: value}
    hints = typing.get_type_hints(type(node))
    if head not in hints:
        near = difflib.get_close_matches(head, hints, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"Unknown config field {full!r}: {type(node).__name__} has no {head!r}."
            f"{hint} It has: {', '.join(hints)}."
        )
    if rest:
        child = getattr(node, head)
        if not dataclasses.is_dataclass(child) and not isinstance(child, Mapping):
            raise ValueError(f"Config field {full!r}: {head!r} has no fields.")
        return dataclasses.replace(node, **{head: _replace(child, rest, value, full)})
    return dataclasses.replace(node, **{head: _coerce(hints[head], value, full)})


def _coerce(hint: Any, value: Any, name: str) -> Any:
    """Checks a value against a field's type; ints serve as floats, lists as tuples."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in arguments:
            return value
        near = difflib.get_close_matches(str(value), map(str, arguments), n=1)
        hint_near = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"Config field {name!r} must be one of {list(arguments)}, got {value!r}."
            f"{hint_near}"
        )
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = [a for a in arguments if a is not type(None)]
        return _coerce(inner, value, name)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            return tuple(
                _coerce(kind, item, f"{name}[{i}]")
                for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
            )
    elif dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type, hint)):
            return value
        if isinstance(value, Mapping):
            return _build(hint, value, name)
    elif origin is not None:  # A mapping.
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is float and type(value) is int:
        return float(value)
    elif type(value) is hint:
        return value
    expected = hint.__name__ if isinstance(hint, type) and not origin else hint
    raise TypeError(
        f"Config field {name!r} must be {expected}, got {value!r} "
        f"({type(value).__name__})."
    )


def _build(cls: Any, values: Mapping[str, Any], name: str) -> Any:
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise TypeError(f"{cls.__name__} has no field {', '.join(unknown)}.")
    return cls(
        **{
            k: _coerce(hints[k], v, f"{name}.{k}".lstrip("."))
            for k, v in values.items()
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
