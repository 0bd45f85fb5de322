"""One update and one prediction, as pure functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from vidjax.config import MixingConfig
from vidjax.train.mixing import check_mixing, is_mixing, mix
from vidjax.train.state import TrainState

Prepare = Callable[[Any], Any]
Batch = Mapping[str, Any]
Metrics = dict[str, jax.Array]
TrainStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
PredictStep = Callable[
    [Mapping[str, Any], Batch], tuple[jax.Array, dict[str, jax.Array]]
]

Output = tuple[jax.Array, Mapping[str, jax.Array]]
"""What a model returns: (logits, endpoints)."""


Losses = Callable[[Output, Batch], tuple[Any, ...]]
"""From the output of a model and the batch to the loss of each row, [B] float32, and to
what else is told of the rows, [B] float32 by name. Losses that draw find a "key" in the
batch of an update. Those that keep something from step to step (`TrainState.running`)
find it as "running", and return it third as it is for the next step."""


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    prepare: Prepare,
    losses: Losses | None = None,
    mixing: MixingConfig | None = None,
    average_decay: float = 0.0,
    accumulate: int = 1,
) -> TrainStep:
    """Returns the update of a model.

    The step number is folded into the key, so that dropout and mixing are functions of
    (key, step) and a resumed run draws what an uninterrupted one draws.

    Args:
        model: A Linen module that takes a clip and returns (logits, endpoints).
        optimizer: Turns gradients into updates.
        prepare: Maps the clips of a batch, uint8 [B, T, H, W, C], to what the model
            wants; several arrays, as a tuple, are its first arguments.
        losses: What is learned; None takes `classification()`. Where clips are mixed,
            its batch holds the label of each clip's partner, "other" [B] int32, and
            "share" [B] float32 as well, see `vidjax.train.mixing.Mixed`.
        mixing: How clips are mixed; None does not mix.
        average_decay: Share of the moving average of the parameters, where the state
            has one, that an update keeps, in [0, 1).
        accumulate: Parts of a batch that go through the model one after another, their
            gradients summed: less memory, the same update. Parts differ from the whole
            in that batch norm sees one at a time and dropout draws for each.

    Returns:
        `step(state, batch, key) -> (state, metrics)`, pure. The batch holds "clip"
        [B, T, H, W, C] uint8, "label" [B] int32 and "mask" [B] bool; rows whose mask is
        False do not count in the loss. Metrics are scalars: "loss", "grad_norm" (before
        clipping), "finite" (whether loss and gradients are), and the means of what
        `losses` tells, such as "top1".

    Raises:
        ValueError: If `mixing` has an alpha or a rate out of range, or `accumulate` is
            not positive. The step raises it if `accumulate` does not divide B, or if
            the losses keep something from step to step and batches have several parts.
    """
    losses = losses or classification()
    mixing = mixing or MixingConfig()
    check_mixing(mixing)
    if accumulate < 1:
        raise ValueError(f"accumulate must be positive, got {accumulate}.")

    def gradients(
        params: Any, model_state: Any, rows: Batch, count: jax.Array, key: jax.Array
    ) -> tuple[_Sums, tuple[Any, Any]]:
        """What a part of a batch adds, with the model's state and what losses keep."""
        clip = rows["clip"] if is_mixing(mixing) else prepare(rows["clip"])

        def share_of_loss(params: Any) -> tuple[jax.Array, tuple[Metrics, Any, Any]]:
            output, new_state = model.apply(
                {"params": params, **model_state},
                *(clip if isinstance(clip, tuple) else (clip,)),
                train=True,
                rngs={"dropout": key},
                mutable=list(model_state),
            )
            drawing = {**rows, "key": jax.random.fold_in(key, 2)}
            loss, told, *kept = losses(output, drawing)
            told = {k: masked_sum(v, rows["mask"]) / count for k, v in told.items()}
            loss = masked_sum(loss, rows["mask"]) / count
            running = kept[0] if kept else rows.get("running", {})
            return loss, (told, new_state, running)

        grad_fn = jax.value_and_grad(share_of_loss, has_aux=True)
        (loss, (told, model_state, running)), grads = grad_fn(params)
        return _Sums(loss, told, grads), (model_state, running)

    def train_step(
        state: TrainState, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(key, state.step)
        if is_mixing(mixing):
            batch = _mix(jax.random.fold_in(key, 1), batch, prepare, mixing)
        count = jnp.maximum(jnp.sum(batch["mask"]), 1)
        if accumulate > 1:
            sums, model_state = _accumulate(
                gradients, state, _split(batch, accumulate), count, key
            )
            running = state.running
        else:
            batch = {**batch, "running": state.running}
            sums, (model_state, running) = gradients(
                state.params, state.model_state, batch, count, key
            )
        grads = sums.grads
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average:
            average = optax.incremental_update(params, average, 1.0 - average_decay)
        state = TrainState(
            step=state.step + 1,
            params=params,
            model_state=model_state,
            opt_state=opt_state,
            average=average,
            running=running,
        )
        grad_norm = optax.tree.norm(grads)
        metrics = {
            "loss": sums.loss,
            **sums.told,
            "grad_norm": grad_norm,
            "finite": jnp.isfinite(sums.loss) & jnp.isfinite(grad_norm),
        }
        return state, metrics

    return train_step


class _Sums(NamedTuple):
    """Of the rows of a part, each by its share of the rows that count in the batch."""

    loss: jax.Array
    told: Metrics
    grads: Any


def _mix(key: jax.Array, batch: Batch, prepare: Prepare, mixing: MixingConfig) -> Batch:
    """Mixes the clips of a whole batch, so that its parts hold what they would hold."""
    mixed = mix(key, prepare(batch["clip"]), batch["mask"], mixing)
    other = batch["label"][mixed.partner]
    return {**batch, "clip": mixed.clip, "other": other, "share": mixed.share}


def _split(batch: Batch, parts: int) -> Batch:
    """Maps arrays [B, ...] to [parts, B / parts, ...].

    Neighbouring rows go to different parts: with rows laid over devices in their order,
    each device has its share of every part and none has to move.
    """
    size = len(batch["mask"])
    if size % parts:
        raise ValueError(f"accumulate={parts} does not divide a batch of {size} clips.")
    return jax.tree.map(
        lambda x: jnp.swapaxes(x.reshape(size // parts, parts, *x.shape[1:]), 0, 1),
        dict(batch),
    )


def _accumulate(
    gradients: Callable[..., Any],
    state: TrainState,
    parts: Batch,
    count: jax.Array,
    key: jax.Array,
) -> tuple[_Sums, Any]:
    """Sums over the parts of a batch; the model's state goes from part to part."""
    if state.running:
        raise ValueError(
            f"Losses that keep {sorted(state.running)} from step to step see whole "
            "batches: accumulate must be 1."
        )

    def add(carry: tuple[_Sums, Any], numbered: Any) -> tuple[tuple[_Sums, Any], None]:
        (total, model_state), (number, rows) = carry, numbered
        part_key = jax.random.fold_in(key, number)
        part, (model_state, _) = gradients(
            state.params, model_state, rows, count, part_key
        )
        return (jax.tree.map(jnp.add, total, part), model_state), None

    numbers = jnp.arange(len(parts["mask"]))
    first = jax.tree.map(lambda x: x[0], parts)
    like, _ = jax.eval_shape(
        gradients, state.params, state.model_state, first, count, key
    )
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)
    (total, model_state), _ = jax.lax.scan(
        add, (zeros, state.model_state), (numbers, parts)
    )
    return total, model_state


def classification(label_smoothing: float = 0.0) -> Losses:
    """Returns the losses of a classifier: cross-entropy with smoothed labels.

    The label of a mixed clip is its own by its share and its partner's by the rest.

    Args:
        label_smoothing: Share of the target spread evenly over the classes, in [0, 1).

    Returns:
        `losses((logits, endpoints), batch)`: cross-entropy [B] in nats, and "top1" [B],
        the share of the label that the highest score names: 1 or 0 where clips are not
        mixed.

    Raises:
        ValueError: If `label_smoothing` is outside [0, 1).
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}.")

    def of_label(logits: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
        loss = cross_entropy(logits, label, label_smoothing=label_smoothing)
        right = jnp.argmax(logits, axis=-1) == label
        return loss, right.astype(jnp.float32)

    def losses(output: Output, batch: Batch) -> tuple[jax.Array, Metrics]:
        logits, _ = output
        loss, right = of_label(logits, batch["label"])
        if "share" in batch:
            share = batch["share"]
            loss_2, right_2 = of_label(logits, batch["other"])
            loss = share * loss + (1 - share) * loss_2
            right = share * right + (1 - share) * right_2
        return loss, {"top1": right}

    return losses


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


def masked_sum(values: Float[Array, " b"], mask: Bool[Array, " b"]) -> Float[Array, ""]:
    """Returns the sum of the values whose mask is True.

    Args:
        values: [B] float32. Masked values may be anything, NaN included.
        mask: Which values count, [B] bool.

    Returns:
        The sum, [] float32.

    Example:
        >>> mask = jnp.array([True, True, False])
        >>> float(masked_sum(jnp.array([1.0, 3.0, jnp.nan]), mask))
        4.0
    """
    return jnp.sum(jnp.where(mask, values, 0.0))
