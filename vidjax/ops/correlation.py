"""All-pairs correlation of two feature maps, and reading it around places (RAFT).

Reference:
    Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow",
    ECCV 2020, https://arxiv.org/abs/2003.12039, Sec. 3.2. Channel order follows the
    authors' code (princeton-vl/RAFT) and torchvision's, so that converted weights fit.

A place is (x, y) in pixels of the first level; level l is 2**l times coarser. The value
between pixels is bilinear, and zero outside of the map. There are two equal forms of
reading: "gather" loads a window of whole pixels and blends it, "matmul" multiplies
with the weights of the bilinear blend, which are mostly zero: no gather, as TPUs like
it. And two equal ways to have the correlations: all of them at once, in
`correlation_volumes`, or on demand, row by row of the first map, in little memory.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vidjax.ops.platform import target_platform

Form = Literal["gather", "matmul"]
Levels = tuple[Array, ...]

# TPUs multiply float32 in bfloat16 unless asked, which moves products of features by
# more than a tenth.
_EXACT = jax.lax.Precision.HIGHEST


def pool_levels(features: Float[Array, "b h w c"], *, levels: int) -> Levels:
    """Halves a feature map again and again by averages of 2 x 2; odd edges are dropped.

    Args:
        features: [B, H, W, C].
        levels: Maps L, the given one included.

    Returns:
        L maps [B, H // 2**l, W // 2**l, C], float32.

    Raises:
        ValueError: If a map would be empty.

    Example:
        >>> [m.shape for m in pool_levels(jnp.ones((1, 5, 8, 3)), levels=2)]
        [(1, 5, 8, 3), (1, 2, 4, 3)]
    """
    if min(features.shape[1:3]) < 2 ** (levels - 1):
        raise ValueError(
            f"Expected a map of at least {2 ** (levels - 1)} pixels a side for "
            f"{levels} levels, got shape {features.shape}, read as [B, H, W, C]."
        )
    maps = [features.astype(jnp.float32)]
    for _ in range(levels - 1):
        batch, height, width, channels = maps[-1].shape
        even = maps[-1][:, : height // 2 * 2, : width // 2 * 2]
        blocks = even.reshape(batch, height // 2, 2, width // 2, 2, channels)
        maps.append(jnp.mean(blocks, axis=(2, 4)))
    return tuple(maps)


def correlation_volumes(
    features: Float[Array, "b h w c"], others: Float[Array, "b h w c"], *, levels: int
) -> Levels:
    """Correlates every pixel of a map with every pixel of another and of its poolings.

    Args:
        features: [B, H, W, C].
        others: [B, H, W, C].
        levels: Levels L.

    Returns:
        L volumes [B, H, W, H // 2**l, W // 2**l], float32: scalar products over C,
        divided by the square root of C.

    Raises:
        ValueError: If a level would be empty.
    """
    maps = pool_levels(others, levels=levels)
    return tuple(_correlate(features, level) for level in maps)


def volume_bytes(shape: tuple[int, ...], *, levels: int) -> int:
    """Returns what `correlation_volumes` needs for maps of a shape, in bytes.

    Args:
        shape: Shape (B, H, W, C) of a map.
        levels: Levels L.

    Example:
        >>> round(volume_bytes((1, 135, 240, 256), levels=4) / 2**30, 2)  # 1080p
        5.18
    """
    batch, height, width, _ = shape
    coarse = sum((height >> level) * (width >> level) for level in range(levels))
    return 4 * batch * height * width * coarse


def look_up(
    volumes: Levels,
    places: Float[Array, "b h w 2"],
    *,
    radius: int,
    form: Form | None = None,
) -> Float[Array, "b h w k"]:
    """Reads the correlations of every pixel in a window around its place.

    Args:
        volumes: From `correlation_volumes`, L of them.
        places: Centres (x, y) of the windows in pixels of the first level, [B, H, W,
            2].
        radius: Window radius r, in pixels of each level.
        form: "gather" or "matmul"; None takes "matmul" for TPUs and "gather" elsewhere.

    Returns:
        [B, H, W, L * (2 r + 1)**2], float32: by level, then by x, then by y.

    Raises:
        ValueError: If there is no such form.
    """
    read = _reader(form)
    batch, height, width, _ = places.shape
    count = batch * height * width
    found = []
    for level, volume in enumerate(volumes):
        flat = volume.reshape(count, *volume.shape[3:])
        centres = places.reshape(count, 2) / 2**level
        found.append(read(flat, centres, radius).reshape(batch, height, width, -1))
    return jnp.concatenate(found, axis=-1)


def look_up_on_demand(
    features: Float[Array, "b h w c"],
    maps: Levels,
    places: Float[Array, "b h w 2"],
    *,
    radius: int,
    max_bytes: int,
    form: Form | None = None,
) -> Float[Array, "b h w k"]:
    """Reads what `look_up` reads, and computes it as it goes, some rows at a time.

    Args:
        features: [B, H, W, C].
        maps: Of the other image, from `pool_levels`.
        places: As for `look_up`, [B, H, W, 2].
        radius: As for `look_up`.
        max_bytes: Memory for the correlations (or windows of features) of some rows; at
            least one row is computed at a time.
        form: As for `look_up`. "gather" loads the features of the windows, "matmul"
            computes the volumes of the rows.

    Returns:
        [B, H, W, L * (2 r + 1)**2], float32, as `look_up`.

    Raises:
        ValueError: If there is no such form.
    """
    features = features.astype(jnp.float32)
    form = _choose(form)
    row_bytes = _row_bytes(features.shape, maps, radius, form)

    # One row of one image at a time, or as many as fit.
    def read_row(row: tuple[Array, Array, Levels]) -> Array:
        pixels, centres, others = row
        if form == "matmul":
            volumes = _volumes_of_row(pixels, others)
            return look_up(volumes, centres[None, None], radius=radius, form=form)[0, 0]
        found = [
            _windows_of_row(pixels, others[level], centres / 2**level, radius)
            for level in range(len(others))
        ]
        return jnp.concatenate(found, axis=-1)

    def read_image(image: tuple[Array, Array, Levels]) -> Array:
        pixels, centres, others = image
        return jax.lax.map(
            lambda row: read_row((*row, others)),
            (pixels, centres),
            batch_size=max(1, max_bytes // row_bytes),
        )

    return jax.lax.map(read_image, (features, places, maps))


def _row_bytes(shape: tuple[int, ...], maps: Levels, radius: int, form: Form) -> int:
    """Bytes that one row of one image needs while it is read."""
    _, _, width, channels = shape
    if form == "matmul":
        return 4 * width * sum(m.shape[1] * m.shape[2] for m in maps)
    return 4 * width * channels * (2 * radius + 2) ** 2


def _correlate(features: Array, others: Array) -> Array:
    """Maps [B, H, W, C] and [B, H2, W2, C] to [B, H, W, H2, W2]."""
    products = jnp.einsum(
        "bhwc,byxc->bhwyx",
        features.astype(jnp.float32),
        others.astype(jnp.float32),
        precision=_EXACT,
    )
    return products / jnp.sqrt(jnp.float32(features.shape[-1]))


def _volumes_of_row(pixels: Array, maps: Levels) -> Levels:
    """Maps [W, C] and maps [H, W, C] to volumes [1, 1, W, H, W]."""
    return tuple(_correlate(pixels[None, None], level[None]) for level in maps)


def _windows_of_row(pixels: Array, others: Array, centres: Array, radius: int) -> Array:
    """Correlates pixels [W, C] with windows of a map [H, W, C] around [W, 2]."""
    height, width, channels = others.shape
    index, inside = _window(centres, radius, height, width)
    windows = others.reshape(-1, channels)[index]  # [W, window, C].
    products = jnp.einsum("wkc,wc->wk", windows, pixels, precision=_EXACT)
    scale = jnp.sqrt(jnp.float32(channels))
    return _blend(jnp.where(inside, products / scale, 0.0), centres, radius)


def _choose(form: Form | None) -> Form:
    if form not in (None, "gather", "matmul"):
        raise ValueError(f'form must be "gather" or "matmul", got {form!r}.')
    return form or ("matmul" if target_platform() == "tpu" else "gather")


def _reader(form: Form | None):
    return _read_by_matmul if _choose(form) == "matmul" else _read_by_gather


def _read_by_gather(volume: Array, centres: Array, radius: int) -> Array:
    """Maps [N, H, W] and centres [N, 2] to windows [N, (2 r + 1)**2]."""
    count, height, width = volume.shape
    index, inside = _window(centres, radius, height, width)
    flat = volume.reshape(count, height * width)
    window = jnp.take_along_axis(flat, index, axis=1)
    return _blend(jnp.where(inside, window, 0.0), centres, radius)


def _window(
    centres: Array, radius: int, height: int, width: int
) -> tuple[Array, Array]:
    """Whole pixels around centres [N, 2]: flat indices and whether they are inside.

    Both are [N, (2 r + 2)**2], by y and then by x; indices outside are those of some
    pixel inside.
    """
    side = jnp.arange(2 * radius + 2) - radius
    first = jnp.floor(centres).astype(jnp.int32)
    x = first[:, None, :1] + side.reshape(1, 1, -1)
    y = first[:, None, 1:].swapaxes(1, 2) + side.reshape(1, -1, 1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = jnp.clip(y, 0, height - 1) * width + jnp.clip(x, 0, width - 1)
    count = centres.shape[0]
    return index.reshape(count, -1), inside.reshape(count, -1)


def _blend(window: Array, centres: Array, radius: int) -> Array:
    """Blends four neighbours each: [N, (2 r + 2)**2] by y, x to [N, (2 r + 1)**2]."""
    count, side = window.shape[0], 2 * radius + 2
    share = (centres - jnp.floor(centres)).reshape(count, 2, 1, 1)
    window = window.reshape(count, side, side)
    rows = window[:, :-1] + share[:, 1] * (window[:, 1:] - window[:, :-1])
    values = rows[:, :, :-1] + share[:, 0] * (rows[:, :, 1:] - rows[:, :, :-1])
    return values.swapaxes(1, 2).reshape(count, -1)  # By x, then by y.


def _read_by_matmul(volume: Array, centres: Array, radius: int) -> Array:
    """Maps [N, H, W] and centres [N, 2] to windows [N, (2 r + 1)**2]."""
    count, height, width = volume.shape
    side = jnp.arange(2 * radius + 1, dtype=jnp.float32) - radius
    x = centres[:, :1] + side.reshape(1, -1)
    y = centres[:, 1:] + side.reshape(1, -1)
    read = functools.partial(jnp.einsum, precision=_EXACT)
    rows = read("nyh,nhw->nyw", _hat(y, height), volume)
    return read("nxw,nyw->nxy", _hat(x, width), rows).reshape(count, -1)


def _hat(at: Array, size: int) -> Array:
    """Weights of `size` pixels in the bilinear value at places: [N, K] to [N, K, S]."""
    pixel = jnp.arange(size, dtype=jnp.float32).reshape(1, 1, -1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(at[:, :, None] - pixel))
