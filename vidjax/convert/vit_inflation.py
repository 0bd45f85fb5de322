"""From an image transformer (ViT) to a video transformer: what gets a time axis how.

References:
    Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021,
    https://arxiv.org/abs/2103.15691, Sec. 3.4: positions repeated over time; attention
    over time that begins as nothing, where blocks have it. All of its weights at zero,
    as the paper has it, would get no gradient but for the last bias; here only the last
    layer is. Bertasius et al., "Is Space-Time Attention All You Need for Video
    Understanding?", ICML 2021, https://arxiv.org/abs/2102.05095, whose published code
    begins attention over time with the weights of attention over space.
"""

import re
from typing import NamedTuple

import numpy as np

from vidjax.convert.rules import Arrays
from vidjax.convert.variables import Places
from vidjax.typing import TimeAttention

PATCHES, POSITIONS = "params/patch_embed/kernel", "params/pos_embed"
CLASS_TOKEN = "params/cls_token"

_BEHIND = "temporal_fc"  # TimeSformer's layer behind attention over time.
_OVER_TIME = re.compile(r"(params/blocks_\d+/)(?:temporal|time)_((?:attn|norm1)/.+)")
_LAST = re.compile(rf"params/blocks_\d+/({_BEHIND}|time_attn/proj)/(kernel|bias)")


class Beginning(NamedTuple):
    """How attention over time begins.

    Attributes:
        copied: Arrays of any shape by path, those of attention over space.
        zeroed: Arrays of zeros by path.
    """

    copied: Arrays
    zeroed: Arrays


def begin_attention_over_time(
    source: Arrays, want: Places, how: TimeAttention | None
) -> Beginning:
    """Gives attention over time in the blocks of a video network its first weights.

    Args:
        source: Arrays of any shape by path, of the image network.
        want: Places of the video network.
        how: See `vidjax.typing.TimeAttention`; None is "copy" where TimeSformer's layer
            stands behind it and "zero" elsewhere.

    Returns:
        What is copied and what is zero; nothing if blocks have no such attention.

    Raises:
        ValueError: If `how` is unknown, or given where there is no such attention.
    """
    if how not in ("copy", "zero", None):
        raise ValueError(f'time_attention must be "copy" or "zero", got {how!r}.')
    matches = {path: _OVER_TIME.fullmatch(path) for path in want}
    origins = {path: match[1] + match[2] for path, match in matches.items() if match}
    if how is not None and not origins:
        raise ValueError(
            f'time_attention="{how}" is for video networks whose blocks attend over '
            "time by themselves (TimeSformer, ViViT's model 3); this one's do not."
        )
    behind = any(f"/{_BEHIND}/" in path for path in want)
    zero = how == "zero" or (how is None and not behind)
    last = [path for path in want if zero and _LAST.fullmatch(path)]
    zeroed = {path: np.zeros(want[path].shape, want[path].dtype) for path in last}
    copied = {
        path: source[origin]
        for path, origin in origins.items()
        if origin in source and path not in zeroed
    }
    return Beginning(copied, zeroed)


def tile_positions(table: np.ndarray, length: int, *, extra: int) -> np.ndarray | None:
    """Repeats the positions of an image over time.

    Args:
        table: [1, 1 + N, D]; the first row is the class token's.
        length: Rows wanted: extra + T * N.
        extra: 1 if the class token's row is wanted, else 0.

    Returns:
        [1, extra + T * N, D], or None if no whole number of frames has so many rows.

    Example:
        >>> table = np.array([[[9.0], [1.0], [2.0]]])
        >>> tile_positions(table, 5, extra=1)[0, :, 0].tolist()
        [9.0, 1.0, 2.0, 1.0, 2.0]
    """
    places = table[:, 1:]
    frames, rest = divmod(length - extra, places.shape[1])
    if rest:
        return None
    tiled = np.tile(places, (1, frames, 1))
    return np.concatenate([table[:, :extra], tiled], axis=1)
