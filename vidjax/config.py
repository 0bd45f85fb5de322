"""What an experiment is: frozen dataclasses, and the files that fill them."""

import dataclasses
import difflib
import importlib.util
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from vidjax.typing import Interpolation, Sampling

_SHIPPED = pathlib.Path(__file__).parent / "configs"
_CHECKOUT = pathlib.Path(__file__).parent.parent / "configs"


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which videos, and how clips are taken from them.

    Attributes:
        source: "synthetic_motion"; "folder:DIR" with one folder of videos a class, or
            with folders "train" and "val" of such folders; "csv:FILE" with columns path
            and label, and optionally split, start and end (seconds).
        batch_size: Clips in a global batch; a multiple of the number of devices.
        eval_batch_size: Clips in a batch of evaluation; None takes `batch_size`.
        num_frames: Frames in a clip; None takes the model card's.
        frame_stride: Frames between two sampled ones; None takes the model card's.
        sampling: How frames are chosen; None takes the model card's.
        size: Height and width of a clip in pixels; None takes the model card's.
        interpolation: How frames are resized; None takes the model card's.
        short_side: Smallest and largest short side, in pixels, to which a training
            video is resized before a random crop; None takes the model card's.
        flip_rate: Probability of a horizontal flip in training. Zero where left and
            right are part of the label.
        eval_fraction: Share of each class that is held out, where the source names no
            split.
        workers: Threads that decode; None takes one a core.
        synthetic: What "synthetic_motion" draws.
    """

    source: str = "synthetic_motion"
    batch_size: int = 32
    eval_batch_size: int | None = None
    num_frames: int | None = None
    frame_stride: int | None = None
    sampling: Sampling | None = None
    size: int | None = None
    interpolation: Interpolation | None = None
    short_side: tuple[int, int] | None = None
    flip_rate: float = 0.5
    eval_fraction: float = 0.2
    workers: int | None = None
    synthetic: "SyntheticConfig" = dataclasses.field(
        default_factory=lambda: SyntheticConfig()
    )


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What `synthetic_motion` draws; its clips have the size the model wants.

    Attributes:
        num_train: Training clips.
        num_eval: Held-out clips.
        seed: Seed of the drawing; the held-out clips never share one with training.
    """

    num_train: int = 4096
    num_eval: int = 512
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """How parameters are updated.

    Attributes:
        name: Optimizer: "sgd" with momentum, "adamw" or "lars".
        learning_rate: Largest learning rate, after warm-up.
        schedule: "constant", "cosine" to zero at the last step, or "step".
        warmup_steps: Steps over which the rate rises linearly from zero.
        drops: Steps at which a "step" schedule multiplies the rate by `drop_factor`.
        drop_factor: See `drops`.
        momentum: Momentum of "sgd" and "lars".
        nesterov: Whether that momentum is Nesterov's.
        b1: Decay of the first moment of "adamw".
        b2: Decay of the second moment of "adamw".
        weight_decay: Coupled (added to the gradient) for "sgd" and "lars", decoupled
            for "adamw".
        decay: Which parameters decay: "kernels" (those with two axes or more) or "all".
        clip_norm: Largest global norm of the gradients; None does not clip.
        label_smoothing: Share of the target spread evenly over the classes, in [0, 1).
    """

    name: Literal["sgd", "adamw", "lars"] = "sgd"
    learning_rate: float = 0.1
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    warmup_steps: int = 0
    drops: tuple[int, ...] = ()
    drop_factor: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    b1: float = 0.9
    b2: float = 0.999
    weight_decay: float = 0.0
    decay: Literal["kernels", "all"] = "kernels"
    clip_norm: float | None = None
    label_smoothing: float = 0.0


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How a model is tested.

    Attributes:
        num_clips: Clips of a video, spread evenly; None takes the model card's.
        num_crops: 1 for the centre crop, 3 along the longer side; None: the card's.
        average: What is averaged over them, "softmax" or "logits"; None: as there.
    """

    num_clips: int | None = None
    num_crops: int | None = None
    average: Literal["softmax", "logits"] | None = None


@dataclasses.dataclass(frozen=True)
class ShardingConfig:
    """How a train state and its batches are laid over devices.

    Attributes:
        fsdp: Devices over which one copy of the parameters is split; the rest of the
            devices hold further copies, and every device takes its part of the batch.
        min_size: Parameters with fewer elements are never split.
    """

    fsdp: int = 1
    min_size: int = 2**16


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """What is written while training. It changes no result.

    Attributes:
        every: Steps between two lines of the log.
        tensorboard: Whether TensorBoard's event files are written as well.
    """

    every: int = 10
    tensorboard: bool = False


@dataclasses.dataclass(frozen=True)
class Contender:
    """A further model that is trained on the same data by the same recipe.

    Attributes:
        model: Registered name.
        model_args: Arguments of its builder.
    """

    model: str
    model_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Config:
    """An experiment.

    Attributes:
        model: Registered name of the model.
        model_args: Arguments of its builder; `num_classes` follows from the data.
        compare: Models to train beside it and to set side by side in the report.
        init: Weights to start from: a tag of the model card, or the path of a file. A
            classifier with another number of classes starts afresh.
        dtype: Type of the computation; parameters and logits stay float32.
        steps: Updates.
        eval_every: Steps between two evaluations; the last step is always evaluated.
        save_every: Steps between two checkpoints; the last step is always saved.
        seed: Seed of initial parameters, order, augmentation and dropout.
        data: Which videos, and how clips are taken from them.
        optim: How parameters are updated.
        eval: How the model is tested.
        sharding: How the state is laid over devices.
        log: What is written while training.
    """

    model: str
    model_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    compare: tuple[Contender, ...] = ()
    init: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    steps: int = 1000
    eval_every: int = 500
    save_every: int = 500
    seed: int = 0
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)
    sharding: ShardingConfig = dataclasses.field(default_factory=ShardingConfig)
    log: LogConfig = dataclasses.field(default_factory=LogConfig)


def list_configs() -> list[str]:
    """Returns the names of the configs that ship with vidjax, sorted.

    Example:
        >>> "quickstart" in list_configs()
        True
    """
    return sorted(p.stem for p in _config_folder().glob("*.py"))


def load_config(
    name_or_path: str | pathlib.Path, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Runs a config file and returns its experiment.

    Args:
        name_or_path: Name of a config that ships with vidjax, such as "quickstart", or
            the path of a Python file with a function `get_config`.
        overrides: New values by dotted field, such as {"optim.learning_rate": 0.05}.

    Returns:
        The experiment.

    Raises:
        ValueError: If there is no such config, the file does not define `get_config`,
            an override names no field (the near name is suggested), or a value is not
            one of the field's choices.
        TypeError: If an override has the wrong type, or the file gives a field that
            does not exist, or does not return a `Config`.

    Example:
        >>> load_config("quickstart", {"optim.learning_rate": 0.05}).optim.learning_rate
        0.05
    """
    path = find_config(name_or_path)
    spec = importlib.util.spec_from_file_location(f"vidjax_config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except TypeError as error:
        raise TypeError(f"{path}: {_with_near_field(error)}") from error
    except (AttributeError, ImportError, NameError, SyntaxError) as error:
        raise ValueError(
            f"{path} is not a config: {error}. A config file defines get_config(), "
            "which returns a vidjax.config.Config."
        ) from error
    if not isinstance(config, Config):
        raise TypeError(
            f"{path}: get_config() must return a vidjax.config.Config, got "
            f"{type(config).__name__}."
        )
    return override(config, overrides or {})


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


def _config_folder() -> pathlib.Path:
    return _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT


def find_config(name_or_path: str | pathlib.Path) -> pathlib.Path:
    """Returns the file of a config.

    Args:
        name_or_path: Name of a config that ships with vidjax, or the path of a file.

    Returns:
        Its path.

    Raises:
        ValueError: If there is no such config; the near name is suggested.
    """
    path = pathlib.Path(name_or_path)
    if path.suffix == ".py" and path.is_file():
        return path
    shipped = _config_folder() / f"{path.stem}.py"
    if path.parent in (pathlib.Path(), pathlib.Path("configs")) and shipped.is_file():
        return shipped
    near = difflib.get_close_matches(path.stem, list_configs(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"No config {str(name_or_path)!r}: expected a Python file, or one of "
        f"{', '.join(list_configs())}.{hint}"
    )


def _with_near_field(error: TypeError) -> str:
    """Adds the near field's name to the message of an unexpected keyword argument."""
    text = str(error)
    if "unexpected keyword argument" not in text:
        return text
    wrong = text.rsplit("'", 2)[1]
    parts = [part for part in globals().values() if dataclasses.is_dataclass(part)]
    fields = {field.name for part in parts for field in dataclasses.fields(part)}
    near = difflib.get_close_matches(wrong, sorted(fields), n=1)
    return text + (f". Did you mean {near[0]!r}?" if near else "")


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
