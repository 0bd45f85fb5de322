"""Mixup and CutMix: clips of a batch mixed with each other, on the devices.

Both mix a batch with itself reversed, by one share for the whole batch, as the recipes
of video transformers do (timm's batch mode). The loss of a mixed clip is the mean of
the losses of its two labels by their shares, which is that of the mixed label.

References:
    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
    https://arxiv.org/abs/1710.09412; Yun et al., "CutMix: Regularization Strategy to
    Train Strong Classifiers with Localizable Features", ICCV 2019,
    https://arxiv.org/abs/1905.04899, with one box for all frames of a clip.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from vidjax.config import MixingConfig


class Mixed(NamedTuple):
    """Mixed clips, and what their labels are.

    Attributes:
        clip: [B, T, H, W, C], in the dtype of the clips.
        partner: Index of the clip that each is mixed with, [B] int32.
        share: What each keeps of its own label, in [0, 1], [B] float32.
    """

    clip: Float[Array, "b t h w c"]
    partner: Array
    share: Float[Array, " b"]


def mix(
    key: PRNGKeyArray,
    clip: Float[Array, "b t h w c"],
    mask: Bool[Array, " b"],
    config: MixingConfig,
) -> Mixed:
    """Mixes the clips of a batch, by mixup or by CutMix or not, as the key decides.

    Args:
        key: Random key; the same key mixes alike.
        clip: [B, T, H, W, C], normalised or not: mixing is linear.
        mask: [B], False where a row holds no clip. Such a row is given to no other.
        config: Alphas and rates.

    Returns:
        Clips, partners and shares.

    Raises:
        ValueError: If an alpha is negative or a rate outside [0, 1].
    """
    check_mixing(config)
    size = (clip.shape[2], clip.shape[3])
    whether, how, draw, place = jax.random.split(key, 4)
    rate = config.rate if is_mixing(config) else 0.0
    cut = jax.random.uniform(how) < _cutmix_rate(config)
    alpha = jnp.where(cut, config.cutmix_alpha or 1.0, config.mixup_alpha or 1.0)
    wanted = jax.random.beta(draw, alpha, alpha)
    wanted = jnp.where(jax.random.uniform(whether) < rate, wanted, 1.0)
    kept = jnp.where(cut, box_outside(place, size, wanted), wanted)
    partner = jnp.arange(clip.shape[0])[::-1]
    weight = jnp.where(mask[partner].reshape(-1, 1, 1), kept[None], 1.0)  # [B, H, W].
    share = jnp.mean(weight, axis=(1, 2), dtype=jnp.float32)
    weight = weight.reshape(clip.shape[0], 1, *weight.shape[1:], 1).astype(clip.dtype)
    return Mixed(weight * clip + (1 - weight) * clip[::-1], partner, share)


def box_outside(
    key: PRNGKeyArray, size: tuple[int, int], share: Float[Array, ""]
) -> Float[Array, "h w"]:
    """Draws a box that leaves a share of a frame: zero inside, one outside.

    Its sides are sqrt(1 - share) of the frame's, rounded down, and its centre is
    anywhere in the frame, so that the box may be cut off at the edges.

    Args:
        key: Random key.
        size: Height and width of a frame.
        share: Share of the frame that is wanted outside, in [0, 1].

    Returns:
        [H, W] float32.

    Example:
        >>> box_outside(jax.random.key(0), (4, 4), jnp.array(1.0)).sum().item()
        16.0
    """
    inside = jnp.ones((), bool)
    for axis, (length, part) in enumerate(
        zip(size, jax.random.split(key), strict=True)
    ):
        side = jnp.floor(length * jnp.sqrt(1.0 - share)).astype(jnp.int32)
        first = jax.random.randint(part, (), 0, length) - side // 2
        place = jnp.arange(length)
        within = (place >= first) & (place < first + side)
        inside = inside & jnp.expand_dims(within, 1 - axis)
    return 1.0 - inside.astype(jnp.float32)


def is_mixing(config: MixingConfig) -> bool:
    """Whether a config mixes anything.

    Args:
        config: Alphas and rates.

    Returns:
        True if it does.
    """
    return max(config.mixup_alpha, config.cutmix_alpha) > 0 and config.rate > 0


def check_mixing(config: MixingConfig) -> None:
    """Checks alphas and rates.

    Args:
        config: Alphas and rates.

    Raises:
        ValueError: If an alpha is negative or a rate outside [0, 1]; all at once.
    """
    rules = {
        "mixup_alpha is not negative": config.mixup_alpha >= 0,
        "cutmix_alpha is not negative": config.cutmix_alpha >= 0,
        "rate is in [0, 1]": 0 <= config.rate <= 1,
        "cutmix_rate is in [0, 1]": 0 <= config.cutmix_rate <= 1,
    }
    broken = [rule for rule, kept in rules.items() if not kept]
    if broken:
        raise ValueError(
            f"These rules of mixing do not hold: {'; '.join(broken)}. Got {config}."
        )


def _cutmix_rate(config: MixingConfig) -> float:
    if not config.mixup_alpha:
        return 1.0
    return config.cutmix_rate if config.cutmix_alpha else 0.0
