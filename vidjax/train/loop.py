"""The training loop: one flat loop around a pure step.

It knows neither data nor models. What happens at a step s, in this order: the update;
the log, if s is due or anything below is; the evaluation; the checkpoint. So a
checkpoint at s means that everything up to s is logged and evaluated, and a run that
goes on from it does exactly what is left.
"""

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from vidjax.train.state import TrainState

_IN_FLIGHT = 2  # Updates that are handed to the devices before the host waits.


class NonFiniteError(ValueError):
    """The loss or its gradient is no longer finite."""


class InterruptedTrainingError(KeyboardInterrupt):
    """A signal stopped the run after a whole step, and the state is saved."""


@dataclasses.dataclass(frozen=True)
class Window:
    """What is logged of the updates since the last log.

    Attributes:
        step: Updates done.
        metrics: Means over the window of what the step returns.
        seconds: Wall time of the window, without evaluations and checkpoints.
        steps: Updates in the window.
    """

    step: int
    metrics: dict[str, float]
    seconds: float
    steps: int


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What the loop calls; each is called between two updates, with all of them done.

    Attributes:
        log: Called with the window since the last call.
        evaluate: Called with the state and its step.
        save: Called with the state and its step; may go on in the background.
        last_good: Says where the last checkpoint is, for the message of a failure.
    """

    log: Callable[[Window], None]
    evaluate: Callable[[TrainState, int], None]
    save: Callable[[TrainState, int], None]
    last_good: Callable[[], str]


@dataclasses.dataclass(frozen=True)
class Plan:
    """When things happen, in updates.

    Attributes:
        steps: Updates in the whole run.
        log_every: Between two logs.
        eval_every: Between two evaluations; the last step is always evaluated.
        save_every: Between two checkpoints; the last step is always saved.
    """

    steps: int
    log_every: int
    eval_every: int
    save_every: int

    def due(self, step: int, every: int) -> bool:
        """Whether something that happens every so many updates happens at this one.

        Args:
            step: Updates done.
            every: Updates between two times.

        Returns:
            True at every multiple, and at the last step.
        """
        return step == self.steps or step % every == 0


def train(
    state: TrainState,
    step_fn: Callable[[TrainState, Any, jax.Array], tuple[TrainState, dict]],
    batches: Iterator[Any],
    *,
    key: jax.Array,
    plan: Plan,
    hooks: Hooks,
) -> TrainState:
    """Updates a state until the last step.

    The host runs ahead of the devices by `_IN_FLIGHT` updates and asks for the next
    batch while they compute; metrics come to the host at logs only.

    Args:
        state: Where to begin; `state.step` says how many updates are done. Its arrays
            are donated to the first update.
        step_fn: The compiled update, `(state, batch, key) -> (state, metrics)`; metrics
            hold "finite", a bool, beside scalars.
        batches: Batches on the devices, from that of `state.step` on.
        key: Key of the run's randomness, a scalar.
        plan: When things happen.
        hooks: What is called then.

    Returns:
        The state after the last step.

    Raises:
        NonFiniteError: If loss or gradient of an update is not finite. No checkpoint is
            written after such an update.
        InterruptedTrainingError: If SIGINT or SIGTERM came; the state is saved first.
    """
    step = int(state.step)
    pending: list[dict[str, jax.Array]] = []
    started = time.perf_counter()
    with _stop_on_signals() as stop:
        while step < plan.steps:
            state, metrics = step_fn(state, next(batches), key)
            step += 1
            pending.append(metrics)
            if len(pending) > _IN_FLIGHT:
                jax.block_until_ready(pending[-1 - _IN_FLIGHT])

            stopped = stop.signal
            evaluate = plan.due(step, plan.eval_every)
            save = plan.due(step, plan.save_every) or stopped is not None
            if not (evaluate or save or plan.due(step, plan.log_every)):
                continue
            hooks.log(_close_window(step, pending, started, hooks.last_good))
            if evaluate:
                hooks.evaluate(state, step)
            if save:
                hooks.save(state, step)
            if stopped is not None and step < plan.steps:
                raise InterruptedTrainingError(
                    f"Stopped by {signal.Signals(stopped).name} after step {step} of "
                    f"{plan.steps}; {hooks.last_good()}. The same command goes on from "
                    "there."
                )
            pending = []
            started = time.perf_counter()
    return state


def _close_window(
    step: int,
    pending: list[dict[str, jax.Array]],
    started: float,
    last_good: Callable[[], str],
) -> Window:
    """Fetches the metrics of a window, once for all its steps."""
    fetched = jax.device_get(pending)
    seconds = time.perf_counter() - started
    first = step - len(fetched) + 1
    for offset, metrics in enumerate(fetched):
        if not metrics["finite"]:
            raise NonFiniteError(
                f"Step {first + offset}: the loss is {metrics['loss']} and the norm of "
                f"its gradient {metrics['grad_norm']}; {last_good()}. A lower "
                "learning rate, a longer warm-up or optim.clip_norm may help."
            )
    means = {
        name: float(sum(m[name] for m in fetched) / len(fetched))
        for name in fetched[0]
        if name != "finite"
    }
    return Window(step=step, metrics=means, seconds=seconds, steps=len(fetched))


@dataclasses.dataclass
class _Stop:
    signal: int | None = None


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    """Notes SIGINT and SIGTERM instead of dying of the first; the second is not caught.

    Python lets only the main thread install handlers; elsewhere signals keep theirs.
    """
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, _: Any) -> None:
        stop.signal = number
        for caught, handler in before.items():
            signal.signal(caught, handler)

    try:
        for number in _SIGNALS:
            signal.signal(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
