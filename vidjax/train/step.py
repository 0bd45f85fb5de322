"""One update and one prediction, as pure functions."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from vidjax.train.state import TrainState

Prepare = Callable[[jax.Array], jax.Array]
Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]
TrainStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
PredictStep = Callable[[Mapping[str, Any], Batch], jax.Array]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    prepare: Prepare,
    label_smoothing: float = 0.0,
) -> TrainStep:
    """Returns the update of a classifier.

    The step number is folded into the key, so that dropout is a function of (key, step)
    and a resumed run draws what an uninterrupted one draws.

    Args:
        model: A Linen module that takes a clip and returns (logits, endpoints).
        optimizer: Turns gradients into updates.
        prepare: Maps the clips of a batch, uint8 [B, T, H, W, C], to what the model
            wants.
        label_smoothing: Share of the target spread evenly over the classes, in [0, 1).

    Returns:
        `step(state, batch, key) -> (state, metrics)`, pure. The batch holds "clip"
        [B, T, H, W, C] uint8, "label" [B] int32 and "mask" [B] bool; rows whose mask is
        False do not count in the loss. Metrics are scalars: "loss", "top1" (share of
        the rows that are right), "grad_norm" (before clipping) and "finite" (whether
        loss and gradients are).

    Raises:
        ValueError: If `label_smoothing` is outside [0, 1).
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}.")

    def train_step(
        state: TrainState, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, Metrics]:
        rngs = {"dropout": jax.random.fold_in(key, state.step)}
        clip = prepare(batch["clip"])

        def mean_loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            (logits, _), model_state = model.apply(
                {"params": params, **state.model_state},
                clip,
                train=True,
                rngs=rngs,
                mutable=list(state.model_state),
            )
            losses = cross_entropy(
                logits, batch["label"], label_smoothing=label_smoothing
            )
            return masked_mean(losses, batch["mask"]), (logits, model_state)

        grad_fn = jax.value_and_grad(mean_loss, has_aux=True)
        (loss, (logits, model_state)), grads = grad_fn(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=model_state,
            opt_state=opt_state,
        )
        right = jnp.argmax(logits, axis=-1) == batch["label"]
        grad_norm = optax.tree.norm(grads)
        metrics = {
            "loss": loss,
            "top1": masked_mean(right.astype(jnp.float32), batch["mask"]),
            "grad_norm": grad_norm,
            "finite": jnp.isfinite(loss) & jnp.isfinite(grad_norm),
        }
        return state, metrics

    return train_step


def make_predict_step(model: nn.Module, *, prepare: Prepare) -> PredictStep:
    """Returns the scoring of clips, without dropout and with running statistics.

    Args:
        model: A Linen module that takes a clip and returns (logits, endpoints).
        prepare: Maps the clips of a batch, uint8 [B, T, H, W, C], to what the model
            wants.

    Returns:
        `predict(variables, batch) -> (logits, endpoints)`, pure; logits [B, K] float32.
    """

    def predict_step(
        variables: Mapping[str, Any], batch: Batch
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        return model.apply(variables, prepare(batch["clip"]))  # type: ignore[return-value]

    return predict_step


def cross_entropy(
    logits: Float[Array, "b k"],
    label: Int[Array, " b"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Array, " b"]:
    """Returns the cross-entropy of each example with its smoothed label.

    With s = label_smoothing, the target is 1 - s + s / K at the label and s / K at the
    other classes.

    Args:
        logits: Scores before softmax, [B, K] float32.
        label: Classes, [B] int32 in [0, K).
        label_smoothing: Share of the target spread evenly over the classes, in [0, 1).

    Returns:
        Losses in nats, [B] float32.

    Example:
        >>> loss = cross_entropy(jnp.zeros((1, 4)), jnp.array([2]))
        >>> round(float(loss[0]), 4)
        1.3863

    References:
        Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
        CVPR 2016, Sec. 7, https://arxiv.org/abs/1512.00567.
    """
    log_p = jax.nn.log_softmax(logits)
    at_label = jnp.take_along_axis(log_p, label[:, None], axis=-1)[:, 0]
    return -(
        (1.0 - label_smoothing) * at_label + label_smoothing * jnp.mean(log_p, axis=-1)
    )


def masked_mean(
    values: Float[Array, " b"], mask: Bool[Array, " b"]
) -> Float[Array, ""]:
    """Returns the mean of the values whose mask is True, and zero if there is none.

    Args:
        values: [B] float32. Masked values may be anything, NaN included.
        mask: Which values count, [B] bool.

    Returns:
        The mean, [] float32.

    Example:
        >>> mask = jnp.array([True, True, False])
        >>> float(masked_mean(jnp.array([1.0, 3.0, 9.0]), mask))
        2.0
    """
    total = jnp.sum(jnp.where(mask, values, 0.0))
    return total / jnp.maximum(jnp.sum(mask), 1)
