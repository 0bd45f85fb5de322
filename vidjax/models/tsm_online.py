"""Online TSM: one frame of a stream at a time, seeing none of the future.

Reference:
    Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding",
    ICCV 2019, https://arxiv.org/abs/1811.08383, Sec. 4.3.

As in mit-han-lab/temporal-shift-module (online_demo/mobilenet_v2_tsm.py): in blocks of
a MobileNetV2 with a shortcut and an expansion, an eighth of the channels that the
branch sees comes from the frame before; before the first frame there are zeros.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.head import Classifier
from vidjax.layers.pool import average_space
from vidjax.models.mobilenet_v2 import (
    MOBILENET_V2,
    MOBILENET_V2_TINY,
    Layout,
    MobileNetV2Trunk,
)
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.ops.shift import causal_shift
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

State = dict[str, Array]
"""By block, the channels of the last frame that the next one sees, [B, H', W', n]."""


class TSMOnline(nn.Module):
    """A MobileNetV2 on each frame whose blocks take channels from the frame before.

    A clip gives what its frames give one after another:

        step = jax.jit(model.step)
        state = model.init_state(batch=1, size=224)
        for frame in video:
            logits, state = step(variables, frame, state)

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth and widths of the MobileNetV2.
        shift_fraction: Share of a block's channels taken from the frame before, in
            [0, 1].
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 27
    layout: Layout = MOBILENET_V2
    shift_fraction: float = 0.125
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], the mean over the frames, and the outputs of the
            stages, "conv1", "layer1" and so on, of shape [B, T, H', W', D], with
            "features" (the last of them), "pooled" [B, D] and "logits_per_step"
            [B, T, num_classes], which `step` gives.

        Raises:
            ValueError: If the clip does not have five axes, or `shift_fraction` is
                outside [0, 1].
            TypeError: If the clip is not of floating point.
        """
        logits, endpoints, _ = self.advance(clip, train=train)
        return logits, endpoints

    @nn.nowrap
    def init_state(self, batch: int, size: int, channels: int = 3) -> State:
        """Returns the state before the first frame.

        Args:
            batch: Streams B that advance together.
            size: Height and width of the frames, in pixels.
            channels: Channels C of the frames.

        Returns:
            Zeros [B, H', W', n] by the name of the block.
        """
        clip = jax.ShapeDtypeStruct((batch, 1, size, size, channels), jnp.float32)
        (_, _, state), _ = jax.eval_shape(
            lambda x: self.init_with_output(jax.random.key(0), x, method="advance"),
            clip,
        )
        return jax.tree.map(lambda place: jnp.zeros(place.shape, place.dtype), state)

    @nn.nowrap
    def step(
        self, variables: Any, frame: Float[Array, "b h w c"], state: State
    ) -> tuple[Logits, State]:
        """Classifies one frame of each stream.

        Args:
            variables: {"params": ..., "batch_stats": ...}.
            frame: [B, H, W, C].
            state: What `init_state` or the step before gave, arrays [B, H', W', n].

        Returns:
            Logits [B, num_classes] of this frame, and the state for the next.

        Raises:
            ValueError: If the frame does not have four axes, or the state is for frames
                of another shape.
            TypeError: If the frame is not of floating point.
        """
        if frame.ndim != 4:
            raise ValueError(
                f"Expected one frame a stream, [B, H, W, C], got shape {frame.shape}."
            )
        result: Any = self.apply(variables, frame[:, None], state, method="advance")
        logits, _, state = result
        return logits, state

    @nn.compact
    def advance(
        self, clip: Clip, state: State | None = None, *, train: bool = False
    ) -> tuple[Logits, Endpoints, State]:
        """Classifies the next frames of streams.

        Args:
            clip: [B, T, H, W, C], any T.
            state: What the frames before left, arrays [B, H', W', n] by the name of
                the block; None if there were none.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits and endpoints as of a call, and the state for the frames after.

        Raises:
            ValueError: If the clip does not have five axes, `shift_fraction` is outside
                [0, 1], or the state is for other frames.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        if not 0.0 <= self.shift_fraction <= 1.0:
            raise ValueError(
                f"shift_fraction must be in [0, 1], got {self.shift_fraction}."
            )
        left: State = {}

        def shift(x: Array, block: str) -> Array:
            n = int(x.shape[-1] * self.shift_fraction)
            blank = jnp.zeros((x.shape[0], *x.shape[2:-1], n), x.dtype)
            before = blank if state is None else state[block]
            shifted, left[block] = causal_shift(x, before)
            return shifted

        trunk = MobileNetV2Trunk(
            self.layout,
            self.drop_path_rate,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, shift, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}, left


_CARD = {
    "family": "tsm_online",
    "fusion": "shift",
    "paper": (
        'Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", '
        "ICCV 2019, https://arxiv.org/abs/1811.08383"
    ),
    "reference": ("mit-han-lab/temporal-shift-module, online_demo/mobilenet_v2_tsm.py"),
    "views": protocol("tsm-1x1"),
}
_URL = "https://hanlab18.mit.edu/projects/tsm/models/mobilenetv2_jester_online.pth.tar"


@register(
    clip=ClipSpec(num_frames=8, sampling="segments"),
    params=2_258_459,
    gmacs=2.3962,
    weights=(
        Weights(
            tag="jester",
            description="The authors', trained on Jester (27 gestures)",
            num_classes=27,
            file=_URL.rpartition("/")[2],
            url=_URL,
            get=f"Download {_URL} and give its path.",
            licence="MIT",
        ),
    ),
    **_CARD,
)
def tsm_online_mobilenet_v2(**kwargs: Any) -> TSMOnline:
    """Online TSM on MobileNetV2; 27 classes (Jester) unless told otherwise."""
    return TSMOnline(**kwargs)


@register(clip=TINY_CLIP, params=59_370, gmacs=0.014548, **_CARD)
def tsm_online_mobilenet_v2_tiny(**kwargs: Any) -> TSMOnline:
    """Online TSM on a MobileNetV2 of five blocks, of which two shift."""
    tiny = {"num_classes": 10, "layout": MOBILENET_V2_TINY, "shift_fraction": 0.25}
    return TSMOnline(**{**tiny, **kwargs})
