"""Learning-rate schedules and optimizers, from a config."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vidjax.config import OptimConfig
from vidjax.train.layer_rates import rate_factors

Schedule = Callable[[Any], jax.Array]


_CYCLE_BEGIN = 1 / 25  # div_factor of torch.optim.lr_scheduler.OneCycleLR.
_CYCLE_END = _CYCLE_BEGIN / 1e4  # And its final_div_factor.


def make_schedule(config: OptimConfig, steps: int) -> Schedule:
    """Returns the learning rate as a function of the number of updates done.

    With s updates done, w = warmup_steps and r = learning_rate, the rate is r * s / w
    while s < w, and then, with e = end_rate,

        constant    r,
        cosine      e + (r - e) * (1 + cos(pi * (s - w) / (steps - w))) / 2,
        step        r * drop_factor ** (number of `drops` that are <= s),
        onecycle    linear from r to r / 250,000 at the last step.

    A "onecycle" schedule begins at r / 25 instead of zero.

    Args:
        config: The optimizer's section of a config.
        steps: Updates in the whole run.

    Returns:
        `schedule(step)`: [] float32.

    Raises:
        ValueError: If a field has a value that makes no schedule; all of them at once.

    Example:
        >>> config = OptimConfig(schedule="step", learning_rate=1.0, drops=(5,))
        >>> schedule = make_schedule(config, steps=10)
        >>> [round(float(schedule(s)), 3) for s in (0, 4, 5, 9)]
        [1.0, 1.0, 0.1, 0.1]

    References:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        ICLR 2017, Sec. 3, https://arxiv.org/abs/1608.03983, without restarts. Smith and
        Topin, "Super-Convergence", 2018, https://arxiv.org/abs/1708.07120 ("onecycle",
        with the two ratios of PyTorch's `OneCycleLR`).
    """
    _check(config, steps)
    warmup = config.warmup_steps
    begin = _CYCLE_BEGIN if config.schedule == "onecycle" else 0.0

    def schedule(step: Any) -> jax.Array:
        step = jnp.asarray(step, jnp.float32)
        if config.schedule == "cosine":
            done = (step - warmup) / max(steps - warmup, 1)
            least = config.end_rate / (config.learning_rate or 1.0)
            wave = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.clip(done, 0.0, 1.0)))
            scale = least + (1.0 - least) * wave
        elif config.schedule == "step":
            drops = jnp.asarray(config.drops, jnp.float32)
            scale = config.drop_factor ** jnp.sum(step >= drops)
        elif config.schedule == "onecycle":
            done = (step - warmup) / max(steps - warmup, 1)
            done = jnp.clip(done, 0.0, 1.0)
            scale = (1.0 - done) + _CYCLE_END * done
        else:
            scale = jnp.ones(())
        if warmup:
            rising = begin + (1.0 - begin) * step / warmup
            scale = jnp.where(step < warmup, rising, scale)
        return jnp.asarray(config.learning_rate * scale, jnp.float32)

    return schedule


def make_optimizer(config: OptimConfig, steps: int) -> optax.GradientTransformation:
    """Returns the optimizer of a config.

    Gradients are clipped first, as they come from the loss. Then "sgd", "adam" and
    "lars" add weight_decay * parameter to them and "adamw" to its scaled step. Under
    "lars" each kernel's step is scaled by the trust ratio of its layer (coefficient
    0.001); biases and the scales of norms are not. Last, steps are scaled by
    `layer_decay` and `backbone_rate` as `vidjax.train.layer_rates` says, which is what
    a learning rate of their own would do, weight decay included.

    Args:
        config: The optimizer's section of a config.
        steps: Updates in the whole run.

    Returns:
        An optax transformation; its update needs the parameters. Its `init` raises
        ValueError if layers are to have rates of their own and the model has no blocks.

    Raises:
        ValueError: If a field has a value that makes no optimizer; all of them at once.

    References:
        You et al., "Large Batch Training of Convolutional Networks", 2017,
        https://arxiv.org/abs/1708.03888 (LARS). Loshchilov and Hutter, "Decoupled
        Weight Decay Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101
        (AdamW).
    """
    schedule = make_schedule(config, steps)
    mask = {"kernels": is_kernel, "layers": is_layer_kernel}.get(config.decay)
    if config.name == "adamw":
        update = optax.adamw(
            schedule,
            b1=config.b1,
            b2=config.b2,
            weight_decay=config.weight_decay,
            mask=mask,
        )
    elif config.name == "adam":
        update = optax.chain(
            optax.add_decayed_weights(config.weight_decay, mask),
            optax.adam(schedule, b1=config.b1, b2=config.b2),
        )
    elif config.name == "lars":
        update = optax.lars(
            schedule,
            weight_decay=config.weight_decay,
            weight_decay_mask=True if mask is None else mask,
            trust_coefficient=0.001,  # Section 5 of the paper.
            trust_ratio_mask=is_kernel,
            momentum=config.momentum,
            nesterov=config.nesterov,
        )
    else:
        update = optax.chain(
            optax.add_decayed_weights(config.weight_decay, mask),
            optax.sgd(
                schedule, momentum=config.momentum or None, nesterov=config.nesterov
            ),
        )
    parts: list[optax.GradientTransformation] = [update]
    if config.clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(config.clip_norm))
    if (config.layer_decay, config.backbone_rate) != (1.0, 1.0):
        parts.append(_scale_by_layer(config))
    return parts[0] if len(parts) == 1 else optax.chain(*parts)


def is_kernel(params: Any) -> Any:
    """Returns a tree of bools: whether a parameter has two axes or more.

    Those are the kernels of convolutions and dense layers; biases, and the scales and
    offsets of norms, have one.

    Args:
        params: A tree of arrays.

    Returns:
        The same tree with a bool for each array.

    Example:
        >>> is_kernel({"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)})
        {'bias': False, 'kernel': True}
    """
    return jax.tree.map(lambda p: jnp.ndim(p) >= 2, params)


def is_layer_kernel(params: Any) -> Any:
    """Returns a tree of bools: whether a parameter is the kernel of a layer.

    Tables of positions and tokens are not, though they have two axes or more.

    Args:
        params: A tree of arrays.

    Returns:
        The same tree with a bool for each array.

    Example:
        >>> table, kernel = jnp.ones((1, 4, 3)), jnp.ones((3, 4))
        >>> is_layer_kernel({"pos_embed": table, "logits": {"kernel": kernel}})
        {'logits': {'kernel': True}, 'pos_embed': False}
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key == "kernel", params
    )


def _scale_by_layer(config: OptimConfig) -> optax.GradientTransformation:
    """Scales steps by the layer that they are of; holds no state."""

    def factors(tree: Any) -> Any:
        return rate_factors(
            tree, layer_decay=config.layer_decay, backbone_rate=config.backbone_rate
        )

    def init(params: Any) -> optax.EmptyState:
        factors(params)  # Raises where a model has no blocks.
        return optax.EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return jax.tree.map(lambda u, f: u * f, updates, factors(updates)), state

    return optax.GradientTransformation(init, update)


def _check(config: OptimConfig, steps: int) -> None:
    drops = config.drops
    rules = {
        "steps is at least 1": steps >= 1,
        "learning_rate is not negative": config.learning_rate >= 0,
        "warmup_steps is not negative": config.warmup_steps >= 0,
        'drops come with schedule "step"': config.schedule == "step" or not drops,
        "drops are rising steps": list(drops) == sorted(set(drops)),
        "drop_factor is positive": config.drop_factor > 0,
        "momentum is in [0, 1)": 0 <= config.momentum < 1,
        "b1 is in [0, 1)": 0 <= config.b1 < 1,
        "b2 is in [0, 1)": 0 <= config.b2 < 1,
        "weight_decay is not negative": config.weight_decay >= 0,
        "layer_decay is in (0, 1]": 0 < config.layer_decay <= 1,
        "backbone_rate is positive": config.backbone_rate > 0,
        "end_rate is in [0, learning_rate]": 0
        <= config.end_rate
        <= config.learning_rate,
        "average_decay is in [0, 1) or None": config.average_decay is None
        or 0 <= config.average_decay < 1,
        "clip_norm is positive or None": config.clip_norm is None
        or config.clip_norm > 0,
        "label_smoothing is in [0, 1)": 0 <= config.label_smoothing < 1,
    }
    broken = [rule for rule, kept in rules.items() if not kept]
    if broken:
        raise ValueError(
            f"These rules of the optimizer do not hold: {'; '.join(broken)}. "
            f"Got steps={steps} and {config}."
        )
