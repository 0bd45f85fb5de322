"""What the points of a pyramid should say of the actions of a video."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_SAME_LENGTH = 1e-3  # Steps; libs/modeling/meta_archs.py.


def assign(
    points: Float[Array, "n 4"],
    segments: Float[Array, "g 2"],
    labels: Int[Array, " g"],
    valid: Bool[Array, " g"],
    *,
    num_classes: int,
    radius: float = 1.5,
) -> tuple[Float[Array, "n k"], Float[Array, "n 2"]]:
    """Gives each point the actions that it has to find.

    A point has to find an action if it lies in its middle part, `radius` strides to
    both sides of its centre and not beyond its boundaries, and the farther boundary is
    in the range of its level. Of several actions it has to find the shortest, and those
    that are as short: they may be of several classes.

    Args:
        points: From `make_points`, [N, 4].
        segments: Start and end of actions, [G, 2] float32, in steps.
        labels: Their classes in [0, K), [G] integers.
        valid: Which actions there are, [G] bool; the others fill the array.
        num_classes: Classes K.
        radius: Half the middle part, in strides of the level.

    Returns:
        Classes, [N, K] float32, 1 for those of the point's actions, all 0 at points
        without one; and its distances to start and end of the shortest, [N, 2] float32,
        in strides, which mean nothing at points without one.

    Example:
        >>> from vidjax.localization.points import make_points
        >>> classes, offsets = assign(
        ...     make_points(4, ((0, 10),)),
        ...     jnp.array([[0.5, 2.5]]),
        ...     jnp.array([1]),
        ...     jnp.array([True]),
        ...     num_classes=2,
        ... )
        >>> classes[:, 1].tolist(), offsets[1].tolist()
        ([0.0, 1.0, 1.0, 0.0], [0.5, 1.5])

    References:
        Zhang, Wu and Li, "ActionFormer: Localizing Moments of Actions with
        Transformers", ECCV 2022, Sec. 3.3, https://arxiv.org/abs/2202.07925; as in
        libs/modeling/meta_archs.py.
    """
    place, low, high, stride = (column[:, None] for column in points.T)
    start, end = segments[None, :, 0], segments[None, :, 1]
    left, right = place - start, end - place
    centre, reach = 0.5 * (start + end), stride * radius
    inside = jnp.minimum(
        place - jnp.maximum(centre - reach, start),
        jnp.minimum(centre + reach, end) - place,
    )
    farther = jnp.maximum(left, right)
    fits = (inside > 0) & (farther >= low) & (farther <= high) & valid[None]
    lengths = jnp.where(fits, end - start, jnp.inf)
    shortest = jnp.min(lengths, axis=1, keepdims=True)
    chosen = fits & (lengths <= shortest + _SAME_LENGTH)
    one_hot = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    classes = jnp.minimum(chosen.astype(jnp.float32) @ one_hot, 1.0)
    which = jnp.argmin(lengths, axis=1, keepdims=True)
    offsets = jnp.take_along_axis(jnp.stack([left, right], -1), which[..., None], 1)
    return classes, offsets[:, 0] / stride
