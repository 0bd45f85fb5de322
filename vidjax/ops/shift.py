"""Temporal shift, the parameter-free operation behind TSM."""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def temporal_shift(
    x: Shaped[Array, "b t *space c"], *, fraction: float = 0.125
) -> Shaped[Array, "b t *space c"]:
    """Shifts some channels one frame back in time and as many one frame forward.

    With n = int(C * fraction), frame t of the output holds, by channel:

        [0, n)      the input at t + 1 (zero at the last frame),
        [n, 2n)     the input at t - 1 (zero at the first frame),
        [2n, C)     the input at t.

    Args:
        x: Features, [B, T, ..., C]; any dtype, kept.
        fraction: Share of the channels shifted each way, in [0, 0.5]. The paper
            uses 1/8. Zero returns `x` unchanged.

    Returns:
        Shifted features, [B, T, ..., C].

    Raises:
        ValueError: If `fraction` is outside [0, 0.5], or `x` has fewer than three axes.

    Example:
        >>> x = jnp.array([[[1, 2, 3, 4], [5, 6, 7, 8]]])  # [B=1, T=2, C=4]
        >>> temporal_shift(x, fraction=0.25).tolist()
        [[[5, 0, 3, 4], [0, 2, 7, 8]]]

    References:
        Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding",
        ICCV 2019, Sec. 3, https://arxiv.org/abs/1811.08383. Channel order follows
        the authors' code (mit-han-lab/temporal-shift-module), so that converted
        weights fit.
    """
    if not 0.0 <= fraction <= 0.5:
        raise ValueError(f"fraction must be in [0, 0.5], got {fraction}.")
    if x.ndim < 3:
        raise ValueError(
            f"Expected at least three axes [B, T, ..., C], got shape {x.shape}."
        )
    n = int(x.shape[-1] * fraction)
    if n == 0:
        return x
    from_next, from_previous, still = jnp.split(x, [n, 2 * n], axis=-1)
    blank = jnp.zeros_like(from_next[:, :1])
    from_next = jnp.concatenate([from_next[:, 1:], blank], axis=1)
    from_previous = jnp.concatenate([blank, from_previous[:, :-1]], axis=1)
    return jnp.concatenate([from_next, from_previous, still], axis=-1)


def causal_shift(
    x: Shaped[Array, "b t *space c"], before: Shaped[Array, "b *space n"]
) -> tuple[Shaped[Array, "b t *space c"], Shaped[Array, "b *space n"]]:
    """Shifts the first channels one frame forward in time, from one piece to the next.

    Frame t of the output holds, by channel, with n channels in `before`:

        [0, n)      the input at t - 1 (`before` at the first frame),
        [n, C)      the input at t.

    A video that is cut into pieces, each given what the last returned, gives the same
    as the whole.

    Args:
        x: Features of a piece of a video, [B, T, ..., C]; any dtype, kept.
        before: First n channels of the frame before it, [B, ..., n].

    Returns:
        Shifted features, [B, T, ..., C], and the first n channels of the last frame of
        `x`, [B, ..., n].

    Raises:
        ValueError: If `before` does not fit `x`.

    Example:
        >>> x = jnp.array([[[1, 2], [3, 4]]])  # [B=1, T=2, C=2]
        >>> shifted, last = causal_shift(x, jnp.array([[9]]))
        >>> shifted.tolist(), last.tolist()
        ([[[9, 2], [1, 4]]], [[3]])

    References:
        Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding",
        ICCV 2019, Sec. 4.3, https://arxiv.org/abs/1811.08383.
    """
    n = before.shape[-1]
    want = (x.shape[0], *x.shape[2:-1])
    if before.shape[:-1] != want or n > x.shape[-1]:
        raise ValueError(
            f"Expected channels of one frame {(*want, f'n <= {x.shape[-1]}')} before "
            f"features of shape {x.shape}, got {before.shape}."
        )
    moving = jnp.concatenate([before[:, None], x[..., :n]], axis=1)
    return jnp.concatenate([moving[:, :-1], x[..., n:]], axis=-1), moving[:, -1]
