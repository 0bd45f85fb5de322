"""The parts of an experiment: its clip, its views, its model and its data."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

from vidjax.config import Config
from vidjax.data.sources import Split, make_source
from vidjax.flow.stack import see_motion
from vidjax.localization.boundary_matching import Matching
from vidjax.localization.presets import preset
from vidjax.models.registry import clip_spec, create_model, model_card
from vidjax.models.videomae_pretrain import VideoMAEPretrain
from vidjax.ops.pixels import normalize
from vidjax.protocols import protocol
from vidjax.tasks.detection_data import feature_sources, feature_spec
from vidjax.tasks.feature_options import FeatureOptions
from vidjax.typing import ClipSpec, FeatureSpec, Views

_CLIP_FIELDS = (
    *("num_frames", "frame_stride", "sampling", "size", "interpolation"),
    *("flow_stack", "flow_method"),
)
_SPLITS: tuple[Split, Split] = ("train", "eval")
_VIEW_FIELDS = ("num_clips", "num_crops", "average")


@dataclasses.dataclass(frozen=True)
class Sources:
    """The two splits of a data set.

    Attributes:
        train: Training examples, a `Source` or a `FeatureSource`.
        eval: Held-out examples, likewise.
        features: How features were made, where `vidjax features` made them.
    """

    train: Any
    eval: Any
    features: FeatureOptions | None = None


def make_spec(config: Config) -> Any:
    """Returns the clip of an experiment: the card's, but for what the config says.

    Args:
        config: The experiment.

    Returns:
        The `ClipSpec`; of a detector of actions, the `FeatureSpec`.

    Raises:
        ValueError: If there is no such model, or it does not take the modality.

    Example:
        >>> from vidjax.config import DataConfig
        >>> config = Config(model="i3d_rgb", data=DataConfig(num_frames=16))
        >>> make_spec(config).shape
        (16, 224, 224, 3)
    """
    if config.objective == "localization":
        return feature_spec(config)
    if config.objective == "flow":
        _check_flow(config)
        card: Any = model_card(config.model).clip
    else:
        card = _with_modality(clip_spec(config.model), config)
    spec = _replace_given(card, config.data, _CLIP_FIELDS)
    if config.data.flow_files is not None and spec.modality != "rgb":
        spec = dataclasses.replace(spec, flow_method="files")
    if min(spec.num_frames, spec.frame_stride, spec.size) < 1:
        raise ValueError(
            "data.num_frames, data.frame_stride and data.size must be positive, got a "
            f"clip of {spec.num_frames} frames, {spec.frame_stride} apart, of "
            f"{spec.size} pixels."
        )
    return spec


def make_views(config: Config) -> Views:
    """Returns the test protocol: the model card's, but for what the config says.

    Args:
        config: The experiment.

    Returns:
        The views; a clip whose length the config says keeps it.

    Raises:
        ValueError: If there is no such model or protocol, or there would be no view.
    """
    given = config.eval.protocol
    views = protocol(given) if given else model_card(config.model).views
    changed = _replace_given(views, config.eval, _VIEW_FIELDS)
    if config.data.num_frames is not None and given is None:
        changed = dataclasses.replace(changed, num_frames=None)
    if changed != views:
        changed = dataclasses.replace(changed, name=f"{views.name} (changed)")
    if changed.num_clips < 1 or changed.num_crops not in (1, 3, 5, 10):
        raise ValueError(
            "eval.num_clips must be positive and eval.num_crops 1, 3, 5 or 10, got "
            f"{changed.num_clips} and {changed.num_crops}."
        )
    return changed


def make_model(
    config: Config, num_classes: int, *, empty_classes: tuple[int, ...] = ()
) -> nn.Module:
    """Builds the model of an experiment.

    Args:
        config: The experiment.
        num_classes: Classes K of the data.
        empty_classes: Of a detector: those that no annotation has, whose scores begin
            low.

    Returns:
        A Linen module.

    Raises:
        ValueError: If there is no such model, `model_args` says another number of
            classes, or a dtype, or the model is not one for the objective.
        TypeError: If the model has no such argument.
    """
    arguments = dict(config.model_args)
    if "dtype" in arguments:
        raise ValueError("Set `dtype` of the config, not model_args.dtype.")
    if config.objective == "flow" or _proposes(config):
        return create_model(config.model, dtype=config.dtype, **arguments)
    if config.objective == "masked_pixels":
        # What it predicts are the values of a block, as many as it says itself.
        model = create_model(config.model, dtype=config.dtype, **arguments)
        _check_autoencoder(config, model)
        return model
    if arguments.pop("num_classes", num_classes) != num_classes:
        raise ValueError(
            f"model_args.num_classes is {config.model_args['num_classes']}, and the "
            f"data has {num_classes} classes. Leave it out: it follows from the data."
        )
    if empty_classes:
        arguments = {"empty_classes": empty_classes, **arguments}
    model = create_model(
        config.model, num_classes=num_classes, dtype=config.dtype, **arguments
    )
    _check_autoencoder(config, model)
    return model


def make_state_parts(config: Config) -> dict[str, Any]:
    """Returns what a train state holds beside variables and the optimizer's state.

    Args:
        config: The experiment.

    Returns:
        Arguments of `vidjax.train.state.start_state`.
    """
    running = {}
    if config.objective == "localization":
        normalizer = preset(config.model).normalizer
        running = {} if normalizer is None else {"normalizer": normalizer}
    return {"average": config.optim.average_decay is not None, "running": running}


def make_prepare(
    spec: ClipSpec | FeatureSpec, dtype: str
) -> Callable[[jax.Array], jax.Array]:
    """Returns what turns the pixels of a batch into what a model wants.

    Args:
        spec: The clip.
        dtype: Type of the computation.

    Returns:
        A function from the frames that are read for clips, uint8 [B, T * W, H, W, 3],
        to `dtype` [B, T, H, W, C]; features stay as they are. Flow is computed in it,
        on the devices.
    """
    if isinstance(spec, FeatureSpec):
        return lambda features: features
    to_values = functools.partial(
        normalize,
        value_range=spec.value_range,
        mean=spec.mean,
        std=spec.std,
        channel_order=spec.channel_order,
        dtype=dtype,
    )
    if spec.modality == "rgb" or spec.reads_flow:
        return to_values
    return lambda frames: to_values(see_motion(frames, spec))


def make_sources(config: Config) -> Sources:
    """Opens the two splits of an experiment's data.

    Args:
        config: The experiment.

    Returns:
        The splits; they have the same classes.

    Raises:
        ValueError: If the data is not there or not as it should be.
    """
    if config.objective == "localization":
        return Sources(*feature_sources(config))
    spec: Any = make_spec(config)
    train, held_out = (make_source(config.data, spec, split=split) for split in _SPLITS)
    if train.label_names != held_out.label_names:
        raise ValueError(
            f"The splits of {config.data.source} differ in their classes: "
            f"{sorted(set(train.label_names) ^ set(held_out.label_names))} are in one "
            "only."
        )
    return Sources(train, held_out)


def describe_devices() -> str:
    """Returns the number and kind of the devices, such as "8 x TPU v5 lite"."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"


def _proposes(config: Config) -> bool:
    """Whether the outputs of a model are no classes, but two confidences."""
    if config.objective != "localization":
        return False
    return isinstance(preset(config.model).decoding, Matching)


def _check_flow(config: Config) -> None:
    task = model_card(config.model).task
    if task != "flow" or config.data.source != "scenes":
        raise ValueError(
            'objective="flow" is for networks of flow, such as raft_large, on '
            f'data.source "scenes": got {config.model}, whose task is {task!r}, on '
            f"{config.data.source!r}."
        )


def _check_autoencoder(config: Config, model: nn.Module) -> None:
    if isinstance(model, VideoMAEPretrain) == (config.objective == "masked_pixels"):
        return
    kind = "one" if isinstance(model, VideoMAEPretrain) else "none"
    raise ValueError(
        'objective="masked_pixels" is for masked autoencoders, such as '
        f"videomae_base_pretrain, and only for them: {config.model} is {kind}, and the "
        f'objective is "{config.objective}".'
    )


def _with_modality(card: ClipSpec, config: Config) -> ClipSpec:
    data = config.data
    wanted = data.modality or card.modality
    length = data.flow_length or (5 if card.modality == "rgb" else card.flow_length)
    if card.modality == "rgb":
        return card.with_modality(wanted, flow_length=length)
    if (wanted, length) != (card.modality, card.flow_length):
        raise ValueError(
            f"{config.model} takes {card.modality!r} with {card.flow_length} flows at "
            f"every frame, and the config says data.modality {wanted!r} and "
            f"data.flow_length {length}."
        )
    return card


def _replace_given(card: Any, config: Any, fields: tuple[str, ...]) -> Any:
    given = {name: getattr(config, name) for name in fields}
    return dataclasses.replace(
        card, **{name: value for name, value in given.items() if value is not None}
    )
