"""Test protocols spelled out: the exact frames and crops, for a video of any size."""

import dataclasses

from vidjax.data.plan import ViewPlan, compare_plans, make_plan
from vidjax.models.registry import clip_spec, list_models, model_card
from vidjax.protocols import PROTOCOLS, protocol
from vidjax.typing import ClipSpec, Views

__all__ = ["ViewPlan", "compare_plans", "list_protocols", "plan_views"]

# Ours: what a protocol is shown with where no model is tested by it.
_CLIP = ClipSpec(num_frames=16, frame_stride=4)


def list_protocols() -> dict[str, Views]:
    """Returns all protocols by their names.

    Returns:
        Protocols by name.
    """
    return dict(PROTOCOLS)


def plan_views(
    name: str | None,
    *,
    num_frames: int,
    fps: float,
    size: tuple[int, int],
    model: str | None = None,
    clip: tuple[int, int] | None = None,
) -> ViewPlan:
    """Spells a protocol out for a video.

    Args:
        name: Of the protocol; None takes that of the model's card.
        num_frames: Frames in the video.
        fps: Frames per second.
        size: Height and width of the video.
        model: Registered name of a model whose clip is taken; None takes the first one
            by name that is tested by this protocol, or where there is none 16 frames, 4
            apart, of 224 pixels from a short side of 256.
        clip: Frames in a clip and frames from one to the next, instead of the model's.

    Returns:
        The plan.

    Raises:
        ValueError: If there is no such protocol or model, neither is named, or they do
            not fit the video.

    Example:
        >>> video = {"num_frames": 300, "fps": 30.0, "size": (240, 320)}
        >>> plan = plan_views("mmaction-10x3", clip=(2, 8), **video)
        >>> plan.num_views, plan.frames[:2]
        (30, ((0, 8), (32, 40)))
    """
    if name is None and model is None:
        raise ValueError("Name a protocol, a model, or both.")
    views = protocol(name) if name else model_card(str(model)).views
    spec = clip_spec(model) if model else _usual_clip(views)
    if clip is not None:
        spec = dataclasses.replace(spec, num_frames=clip[0], frame_stride=clip[1])
    height, width = size
    return make_plan(
        views, spec, num_frames=num_frames, fps=fps, height=height, width=width
    )


def _usual_clip(views: Views) -> ClipSpec:
    cards = (model_card(name) for name in list_models())
    tested = (card.clip for card in cards if card.views == views)
    return next((clip for clip in tested if isinstance(clip, ClipSpec)), _CLIP)
