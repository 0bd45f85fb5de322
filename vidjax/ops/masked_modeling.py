"""Learning from hidden parts of clips: which are hidden, what is to be predicted."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

Targets = Literal["normalised", "pixels"]
"""What of a block is predicted: see `pixel_targets`."""

# Added to the standard deviation of a block, as in VideoMAE's targets.
_EPSILON = 1e-6


def tube_mask(
    key: PRNGKeyArray, batch: int, grid: tuple[int, int, int], ratio: float
) -> Bool[Array, "b n"]:
    """Hides the same places of the map in all frames of a clip.

    Args:
        key: Random key.
        batch: Number of clips B, each with places of its own.
        grid: Extents (T', H', W') of the blocks of a clip; N = T' H' W'.
        ratio: Share of the places that is hidden, in (0, 1); `hidden_places` of them.

    Returns:
        [B, N], True where a block is hidden, in C order of the grid.

    Raises:
        ValueError: If the ratio hides no place or every place.

    Example:
        >>> mask = tube_mask(jax.random.key(0), 1, (2, 2, 2), 0.75).reshape(2, 4)
        >>> int(mask[0].sum()), bool((mask[0] == mask[1]).all())
        (3, True)

    References:
        Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for
        Self-Supervised Video Pre-Training", NeurIPS 2022,
        https://arxiv.org/abs/2203.12602, Sec. 3.2.
    """
    places = grid[1] * grid[2]
    hidden = hidden_places(grid, ratio)
    keys = jax.random.split(key, batch)
    rank = jax.vmap(lambda k: jax.random.permutation(k, places))(keys)
    return jnp.tile(rank < hidden, (1, grid[0]))


def hidden_places(grid: tuple[int, int, int], ratio: float) -> int:
    """Returns how many of the H' W' places of a map `tube_mask` hides.

    Args:
        grid: Extents (T', H', W') of the blocks of a clip.
        ratio: Share of the places that is hidden, in (0, 1); rounded down.

    Returns:
        The number.

    Raises:
        ValueError: If the ratio hides no place or every place.

    Example:
        >>> hidden_places((8, 14, 14), 0.9)
        176
    """
    places = grid[1] * grid[2]
    hidden = int(ratio * places)
    if not 0 < hidden < places:
        raise ValueError(
            f"Expected a mask_ratio that hides some of the {places} places of a map "
            f"and leaves some, got {ratio}, which hides {hidden}."
        )
    return hidden


def block_pixels(
    clip: Float[Array, "b t h w c"], patch: tuple[int, int, int]
) -> Float[Array, "b n p c"]:
    """Cuts clips into blocks.

    Args:
        clip: [B, T, H, W, C].
        patch: Extent of a block (t, h, w), which divides the clip.

    Returns:
        [B, N, P, C]: N blocks in C order of their grid, P = t h w pixels of each.

    Raises:
        ValueError: If blocks do not divide the clip.

    Example:
        >>> clip = jnp.arange(4.0).reshape(1, 1, 2, 2, 1)
        >>> block_pixels(clip, (1, 2, 1))[0, :, :, 0].tolist()
        [[0.0, 2.0], [1.0, 3.0]]
    """
    batch, *extents, channels = clip.shape
    pairs = list(zip(extents, patch, strict=True))
    if any(size % step for size, step in pairs):
        raise ValueError(
            f"Expected frames, rows and columns that are multiples of {patch}, got "
            f"{tuple(extents)} in shape {clip.shape}, read as [B, T, H, W, C]."
        )
    parts = [n for size, step in pairs for n in (size // step, step)]
    blocks = clip.reshape(batch, *parts, channels).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    count = math.prod(parts[::2])
    return blocks.reshape(batch, count, math.prod(patch), channels)


def normalised_pixels(
    clip: Float[Array, "b t h w c"],
    patch: tuple[int, int, int],
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Float[Array, "b n k"]:
    """Returns the pixels of each block, normalised in each channel by themselves.

    From each value the mean over its block and channel is taken, and the rest divided
    by the standard deviation (of n - 1 pixels) plus 1e-6.

    Args:
        clip: [B, T, H, W, C], as the model takes it.
        patch: Extent of a block (t, h, w), which divides the clip.
        mean: What was subtracted from each channel; with `std` it takes pixels back to
            [0, 1], of which the 1e-6 is a part. None takes them as they are.
        std: What each channel was divided by.

    Returns:
        [B, N, K], K = t h w C values of a block in C order, float32.

    Raises:
        ValueError: If blocks do not divide the clip.

    References:
        He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022,
        https://arxiv.org/abs/2111.06377, Sec. 3 ("Reconstruction target"); by channel
        and with n - 1 as VideoMAE.
    """
    blocks = block_pixels(clip.astype(jnp.float32), patch)
    if std is not None:
        blocks = blocks * jnp.asarray(std).reshape(1, 1, 1, -1)
    if mean is not None:
        blocks = blocks + jnp.asarray(mean).reshape(1, 1, 1, -1)
    centred = blocks - jnp.mean(blocks, axis=2, keepdims=True)
    spread = jnp.std(blocks, axis=2, keepdims=True, ddof=1)
    normalised = centred / (spread + _EPSILON)
    return normalised.reshape(*normalised.shape[:2], -1)


def pixel_targets(
    clip: Float[Array, "b t h w c"], patch: tuple[int, int, int], targets: Targets
) -> Float[Array, "b n k"]:
    """Returns what a masked autoencoder is to predict of each block.

    Args:
        clip: Pixels in [0, 1], [B, T, H, W, C].
        patch: Extent of a block (t, h, w), which divides the clip.
        targets: "normalised" takes `normalised_pixels`, the paper's choice; "pixels"
            takes them as they are, so that colour and brightness are to be predicted,
            too: the larger and easier part, by which small networks learn to look at
            neighbours (docs/pretraining.md).

    Returns:
        [B, N, K], K = t h w C values of a block in C order, float32.

    Raises:
        ValueError: If blocks do not divide the clip.

    Example:
        >>> clip = jnp.full((1, 1, 2, 2, 1), 0.5)
        >>> pixel_targets(clip, (1, 2, 1), "pixels").tolist()
        [[[0.5, 0.5], [0.5, 0.5]]]

    References:
        He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022,
        https://arxiv.org/abs/2111.06377, Table 1d compares the two.
    """
    if targets == "normalised":
        return normalised_pixels(clip, patch)
    blocks = block_pixels(clip.astype(jnp.float32), patch)
    return blocks.reshape(*blocks.shape[:2], -1)


def reconstruction_error(
    predicted: Float[Array, "b m k"],
    targets: Float[Array, "b n k"],
    mask: Bool[Array, "b n"],
) -> Float[Array, " b"]:
    """Returns each clip's mean squared error over its hidden blocks.

    Args:
        predicted: Of the M hidden blocks, in the order of the grid, [B, M, K].
        targets: Of all blocks, [B, N, K].
        mask: [B, N], True where a block is hidden, M of them in each clip.

    Returns:
        [B], float32.

    Example:
        >>> targets = jnp.array([[[1.0], [2.0], [3.0]]])
        >>> mask = jnp.array([[True, False, True]])
        >>> reconstruction_error(jnp.zeros((1, 2, 1)), targets, mask).tolist()
        [5.0]
    """
    hidden, _ = split_by_mask(mask, predicted.shape[1])
    wanted = jnp.take_along_axis(targets, hidden[:, :, None], axis=1)
    error = predicted.astype(jnp.float32) - wanted.astype(jnp.float32)
    return jnp.mean(jnp.square(error), axis=(1, 2))


def split_by_mask(mask: Bool[Array, "b n"], hidden: int) -> tuple[Array, Array]:
    """Returns the indices of hidden and of visible blocks, each in their order.

    Args:
        mask: [B, N], True where a block is hidden.
        hidden: How many are hidden in each clip, M.

    Returns:
        Integers [B, M] and [B, N - M]. A mask that hides another number is not split
        rightly.
    """
    order = jnp.argsort(~mask, axis=1, stable=True)
    return order[:, :hidden], order[:, hidden:]
