"""BMN: proposals by the confidence of every pair of a start and a duration.

Reference:
    Lin et al., "BMN: Boundary-Matching Network for Temporal Action Proposal
    Generation", ICCV 2019, https://arxiv.org/abs/1907.09702.

Conventions and defaults follow MMAction2 (mmaction/models/localizers/bmn.py). Two
linear steps change places: there features are sampled and then joined by a convolution,
50 GMACs and 330 MB a video; here the convolution comes first, the same sum in a third
of the work. `vidjax.localization.boundary_matching` takes proposals from the result.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from vidjax.layers.conv import Conv
from vidjax.layers.sequence import KERNEL_INIT, SequenceConv, check_features
from vidjax.models.registry import register
from vidjax.typing import Endpoints, FeatureSpec

_PER_BIN = 3  # Positions that make one sample.
_BEYOND = 0.5  # Share of a proposal's length that is seen on both sides of it.
_GROUPS = 4


class BMN(nn.Module):
    """Boundary probabilities, and a map of confidences over starts and durations.

    Attributes:
        num_classes: Confidences K of a proposal: by regression and by classification.
        width: Channels of the features.
        samples: Places at which the features of a proposal are sampled.
        map_widths: Channels of the map's first layer and of the others.
        dtype: Computation dtype; parameters and logits stay float32.
    """

    num_classes: int = 2
    width: int = 256
    samples: int = 32
    map_widths: tuple[int, int] = (512, 128)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "b t c"],
        mask: Bool[Array, "b t"] | None = None,
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b n k"], Endpoints]:
        """Scores every pair of a start and a duration.

        Args:
            features: [B, T, C], resized to the T of the card.
            mask: [B, T]; has no meaning: resized features have no padding.
            train: Has no meaning: nothing is dropped.

        Returns:
            Logits [B, N, K] before the sigmoid for the N = T * T pairs, those of a
            duration together, of 1, 2, ... T steps; "start" and "end" [B, T] before the
            sigmoid; "features" [B, T, D]; "pooled" [B, D], their mean.

        Raises:
            ValueError: If the features do not have three axes, or another number of
                channels.
            TypeError: If they are not of floating point.
        """
        del train
        check_features(features, 1, mask)
        conv = functools.partial(
            SequenceConv, self.width, (3,), use_bias=True, dtype=self.dtype
        )
        x = nn.relu(conv(groups=_GROUPS, name="base_0")(features))
        x = nn.relu(conv(groups=_GROUPS, name="base_1")(x))
        curves = {}
        for side in ("start", "end"):
            y = nn.relu(conv(groups=_GROUPS, name=f"{side}_0")(x))
            last = SequenceConv(1, (1,), use_bias=True, name=f"{side}_1")
            curves[side] = last(y)[..., 0]
        y = nn.relu(conv(name="proposal")(x))
        y = Match(self.map_widths[0], self.samples, self.dtype, name="match")(y)
        for i, extent in enumerate((1, 3, 3)):
            layer = Conv(
                self.map_widths[1],
                (extent, extent),
                padding="torch",
                use_bias=True,
                kernel_init=KERNEL_INIT,
                dtype=self.dtype,
                name=f"map_{i}",
            )
            y = nn.relu(layer(y))
        head = Conv(
            self.num_classes,
            (1, 1),
            use_bias=True,
            kernel_init=KERNEL_INIT,
            name="logits",
        )
        logits = head(y).reshape(len(features), -1, self.num_classes)
        pooled = jnp.mean(x, axis=1)
        return logits, {**curves, "features": x, "pooled": pooled}


class Match(nn.Module):
    """Samples features along every proposal, and joins the samples.

    Attributes:
        features: Output channels.
        samples: Places S at which a proposal is sampled.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    samples: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b d t o"]:
        """Maps features [B, T, C] to those of proposals [B, D, T, features], D = T."""
        steps, channels = x.shape[1:]
        shape = (self.samples, 1, 1, channels, self.features)
        kernel = self.param("kernel", _match_init, shape).reshape(
            self.samples, channels, self.features
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        parts = jnp.einsum(
            "btc,sco->btso", x.astype(self.dtype), kernel.astype(self.dtype)
        )
        weights = sampling_weights(steps, self.samples).astype(self.dtype)
        y = jnp.einsum("tsdp,btso->bdpo", weights, parts)
        return nn.relu(y + bias.astype(self.dtype).reshape(1, 1, 1, -1))


def _match_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """PyTorch's default: uniform in +-1 / sqrt(fan_in), over samples and channels."""
    bound = (shape[0] * shape[3]) ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def sampling_weights(steps: int, samples: int) -> Float[Array, "t s d t"]:
    """Returns how much of each step is in each sample of each proposal.

    Sample s is the mean of three positions, between which it is linear. Positions lie
    evenly from half a proposal's length before its start to as much behind its end.

    Args:
        steps: Steps T.
        samples: Samples S of a proposal.

    Returns:
        [T, S, D, T] float32: step, sample, duration (1, 2, ... T steps) and start. 0
        for proposals that end behind the last step.
    """
    # Behind a barrier, so that no compiler spends its time on computing a constant.
    step = jax.lax.optimization_barrier(jnp.arange(steps, dtype=jnp.float32))
    length = (step + 1).reshape(1, 1, -1, 1)
    start, end = step.reshape(1, 1, 1, -1), (step[:, None] + step[None])[None, None]
    low, high = start - _BEYOND * length, end + _BEYOND * length
    gap = (high - low) / (samples * _PER_BIN - 1)
    tau = step.reshape(-1, 1, 1, 1)
    total = jnp.zeros(())
    for tap in range(_PER_BIN):
        which = (jnp.arange(samples) * _PER_BIN + tap).reshape(1, -1, 1, 1)
        place = low + gap * which
        weight = jnp.maximum(1 - jnp.abs(tau - place), 0.0)
        # As published: what lies less than a step before the first counts as the first.
        edge = (tau == 0) & (place > -1) & (place < 0)
        total = total + jnp.where(edge, 1.0, weight)
    return jnp.where(end < steps, total / _PER_BIN, 0.0)


_CARD: dict[str, Any] = {
    "family": "bmn",
    "task": "propose",
    "fusion": "late",
    "paper": 'Lin et al., "BMN: Boundary-Matching Network for Temporal Action Proposal '
    'Generation", ICCV 2019, https://arxiv.org/abs/1907.09702',
    "reference": "open-mmlab/mmaction2, mmaction/models/localizers/bmn.py",
}


@register(
    clip=FeatureSpec(100, 400),
    params=4_978_564,
    gmacs=20.44,
    accuracy="67.25 AUC and 75.29 AR@100 of proposals, CUHK's features (model zoo of "
    "open-mmlab/mmaction2)",
    **_CARD,
)
def bmn_activitynet(**kwargs: Any) -> BMN:
    """BMN for ActivityNet-1.3 on 100 steps of two-stream TSN features."""
    return BMN(**kwargs)


@register(clip=FeatureSpec(12, 16), params=15_316, gmacs=0.001063, **_CARD)
def bmn_tiny(**kwargs: Any) -> BMN:
    """BMN of 12 steps, for tests."""
    return BMN(**{"width": 32, "samples": 4, "map_widths": (32, 16), **kwargs})
