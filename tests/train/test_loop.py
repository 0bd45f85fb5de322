"""When things happen, what is fetched, and what stops a run."""

import dataclasses
import os
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.train.loop import (
    Hooks,
    InterruptedTrainingError,
    NonFiniteError,
    Plan,
    train,
)
from vidjax.train.state import TrainState


def _state(step=0):
    return TrainState(
        step=jnp.int32(step), params=jnp.float32(0), model_state={}, opt_state=()
    )


@jax.jit
def _add(state, batch, key):
    """The loss is the batch; the parameter is the sum of all batches."""
    del key
    state = state.replace(step=state.step + 1, params=state.params + batch)
    return state, {
        "loss": batch,
        "top1": batch / 10,
        "grad_norm": jnp.abs(batch),
        "finite": jnp.isfinite(batch),
    }


@dataclasses.dataclass
class Diary:
    """Hooks that write down what they are called with."""

    entries: list = dataclasses.field(default_factory=list)
    windows: list = dataclasses.field(default_factory=list)
    saved: int | None = None

    def log(self, window):
        self.windows.append(window)
        self.entries.append(("log", window.step))

    def evaluate(self, state, step):
        assert int(state.step) == step
        self.entries.append(("evaluate", step))

    def save(self, state, step):
        assert int(state.step) == step
        self.saved = step
        self.entries.append(("save", step))

    def last_good(self):
        return f"the last checkpoint is {self.saved}"

    @property
    def hooks(self):
        return Hooks(self.log, self.evaluate, self.save, self.last_good)


def _numbers(start=0):
    while True:
        yield jnp.float32(start)
        start += 1


def _run(diary, *, steps=10, log=3, evaluate=5, save=4, start=0, batches=None):
    return train(
        _state(start),
        _add,
        batches if batches is not None else _numbers(start),
        key=jax.random.key(0),
        plan=Plan(steps, log, evaluate, save),
        hooks=diary.hooks,
    )


def test_each_thing_happens_at_its_steps_in_order_and_the_last_step_has_all():
    diary = Diary()

    state = _run(diary)

    assert diary.entries == [
        ("log", 3),
        ("log", 4),
        ("save", 4),
        ("log", 5),
        ("evaluate", 5),
        ("log", 6),
        ("log", 8),
        ("save", 8),
        ("log", 9),
        ("log", 10),
        ("evaluate", 10),
        ("save", 10),
    ]
    assert int(state.step) == 10
    assert float(state.params) == sum(range(10))


def test_a_resumed_run_does_the_rest_and_nothing_else():
    whole, rest = Diary(), Diary()
    _run(whole)

    state = _run(rest, start=4)

    assert rest.entries == [e for e in whole.entries if e[1] > 4]
    assert float(state.params) == sum(range(4, 10))


def test_a_run_that_is_at_its_end_does_nothing():
    diary = Diary()

    _run(diary, start=10)

    assert diary.entries == []


def test_logged_metrics_are_means_over_the_window():
    diary = Diary()

    _run(diary, steps=8, log=3, evaluate=100, save=100)

    losses = [(w.step, w.steps, w.metrics["loss"]) for w in diary.windows]
    assert losses == [(3, 3, 1.0), (6, 3, 4.0), (8, 2, 6.5)]
    assert diary.windows[0].metrics["top1"] == pytest.approx(0.1)
    assert "finite" not in diary.windows[0].metrics


def test_nothing_is_fetched_between_two_logs(monkeypatch):
    fetched = []
    real = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda x: fetched.append(1) or real(x))

    _run(Diary(), steps=100, log=50, evaluate=1000, save=1000)

    assert len(fetched) == 2


def test_the_host_waits_for_the_update_before_the_last_two(monkeypatch):
    waited, asked = [], []
    monkeypatch.setattr(
        jax, "block_until_ready", lambda m: waited.append(float(m["loss"]))
    )

    def batches():
        for value in _numbers():
            asked.append(len(waited))
            yield value

    _run(Diary(), steps=20, log=100, evaluate=100, save=100, batches=batches())

    # Before it asks for batch i, update i - 3 is done; so at most two are under way.
    assert asked == [max(0, i - 2) for i in range(20)]
    assert waited == list(range(18))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_with_its_step_and_the_last_checkpoint(bad):
    diary = Diary()
    values = iter([jnp.float32(v) for v in (1, 1, 1, 1, 1, bad, 1, 1, 1, 1)])

    with pytest.raises(NonFiniteError, match=r"Step 6: .*last checkpoint is 4"):
        _run(diary, log=100, evaluate=100, save=4, batches=values)

    # At step 8 a checkpoint was due: the window is looked at before it is written.
    assert diary.entries == [("log", 4), ("save", 4)]


def test_gradients_that_are_not_finite_stop_a_run_as_well():
    def step(state, batch, key):
        state, metrics = _add(state, batch, key)
        return state, {
            **metrics,
            "grad_norm": jnp.float32(np.inf),
            "finite": jnp.array(False),
        }

    with pytest.raises(NonFiniteError, match="norm of its gradient inf"):
        train(
            _state(),
            step,
            _numbers(),
            key=jax.random.key(0),
            plan=Plan(10, 3, 5, 5),
            hooks=Diary().hooks,
        )


def _signals_at(step, number):
    for value in _numbers():
        if int(value) + 1 == step:
            os.kill(os.getpid(), number)
        yield value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_and_saves(number):
    diary = Diary()
    before = signal.getsignal(number)

    with pytest.raises(InterruptedTrainingError, match=r"after step 7 of 10.*is 7"):
        _run(diary, log=100, evaluate=100, save=100, batches=_signals_at(7, number))

    assert diary.entries == [("log", 7), ("save", 7)]
    assert signal.getsignal(number) is before


def test_a_signal_in_the_last_step_does_not_spoil_a_finished_run():
    diary = Diary()

    state = _run(diary, batches=_signals_at(10, signal.SIGTERM))

    assert int(state.step) == 10
    assert diary.saved == 10


def test_a_second_signal_is_not_held_back():
    def twice():
        for value in _numbers():
            if int(value) == 3:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            yield value

    with pytest.raises(KeyboardInterrupt) as caught:
        _run(Diary(), batches=twice())

    assert not isinstance(caught.value, InterruptedTrainingError)


def test_handlers_are_put_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(NonFiniteError):
        _run(Diary(), batches=iter([jnp.float32(np.nan)] * 10))

    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_outside_the_main_thread_leaves_signals_alone():
    diary = Diary()

    thread = threading.Thread(target=_run, args=(diary,))
    thread.start()
    thread.join()

    assert diary.saved == 10
