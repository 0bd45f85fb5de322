"""Inflation: a file of image weights in, a file of video weights out."""

import dataclasses
import pathlib
from typing import Any

from vidjax.convert import load_variables, save_variables
from vidjax.convert.card import make_metadata
from vidjax.convert.inflation import Inflation, explain_inflation
from vidjax.models.registry import clip_spec, create_model, model_card
from vidjax.typing import Head, Temporal, TimeAttention


@dataclasses.dataclass(frozen=True)
class InflatedFile:
    """What became of image weights.

    Attributes:
        path: The file that was written.
        inflation: The variables, and where they come from.
        clip_shape: Shape (T, H, W, C) of the clips that they are for.
        num_classes: Classes K of the classifier.
    """

    path: pathlib.Path
    inflation: Inflation
    clip_shape: tuple[int, int, int, int]
    num_classes: int

    def to_dict(self) -> dict[str, Any]:
        """Returns the report, ready for JSON."""
        found = self.inflation
        return {
            "path": str(self.path),
            "clip_shape": list(self.clip_shape),
            "num_classes": self.num_classes,
            "taken": list(found.taken),
            "inflated": list(found.inflated),
            "widened": list(found.widened),
            "copied": list(found.copied),
            "zeroed": list(found.zeroed),
            "fresh": list(found.fresh),
            "dropped": list(found.dropped),
        }


def inflate_file(
    weights: str,
    *,
    source: str,
    target: str,
    out: str | pathlib.Path,
    temporal: Temporal = "average",
    head: Head = "match",
    time_attention: TimeAttention | None = None,
    num_classes: int | None = None,
    num_frames: int | None = None,
    size: int | None = None,
    channels: int | None = None,
) -> InflatedFile:
    """Turns weights of a 2D network into weights of a video network.

    Args:
        weights: A tag of the 2D model's card, or the path of a file of its weights.
        source: Registered name of the 2D network.
        target: Registered name of the video network.
        out: File to write, .safetensors; replaced if it is there.
        temporal: "average" or "center", see `vidjax.convert.inflate`.
        head: "match" takes the classifier over if it has the right number of classes
            and else starts afresh, "keep" must take it, "reset" starts afresh.
        time_attention: How a transformer's attention over time begins, see
            `vidjax.convert.inflate`.
        num_classes: Classes K of the video network; None takes its own default.
        num_frames: Frames T of its clips; None takes the card's. It matters only where
            parameters depend on it.
        size: Height and width in pixels; None takes the card's.
        channels: Channels C of a frame, such as 10 for five stacked flows; None takes
            the card's.

    Returns:
        What was written.

    Raises:
        ValueError: If a name or the weights are unknown, or the networks do not match.
    """
    frames, side, _, depth = clip_spec(target).shape
    side = size or side
    clip_shape = (num_frames or frames, side, side, channels or depth)
    given = {} if num_classes is None else {"num_classes": num_classes}
    model: Any = create_model(target, **given)
    found = explain_inflation(
        load_image_network(source, weights, side),
        model,
        clip_shape,
        temporal,
        head=head,
        time_attention=time_attention,
    )
    path = pathlib.Path(out).expanduser()
    metadata = make_metadata(
        target, found.variables, inflated_from=source, temporal=temporal
    )
    save_variables(path, found.variables, metadata)
    return InflatedFile(path, found, clip_shape, model.num_classes)


def load_image_network(source: str, weights: str, size: int) -> Any:
    """Loads the weights of an image network with all their classes.

    Args:
        source: Registered name.
        weights: A tag of its card, or the path of a file.
        size: Height and width of the images in pixels, to which a table of positions is
            resized as the image network's code does it.

    Returns:
        {"params": ..., "batch_stats": ...}: nested dicts of float32 NumPy arrays.

    Raises:
        ValueError: If the model takes clips, or the name or the weights are unknown.
    """
    card = model_card(source)
    if card.fusion != "none":
        raise ValueError(
            f"{source} takes clips, and inflation starts from an image network: one "
            "that `vidjax models` lists with fusion none."
        )
    known = {w.tag: w.num_classes for w in card.weights}
    return load_variables(
        source,
        weights,
        num_classes=known.get(weights),
        clip_shape=(1, size, size, card.clip.channels),
    )
