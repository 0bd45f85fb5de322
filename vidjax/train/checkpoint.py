"""Checkpoints: the latest states to go on from, and the best variables, kept apart.

Orbax stands behind this file and is not seen from outside it. A checkpoint is written
to a temporary folder and renamed when it is whole, so a process that is killed leaves
whole checkpoints only.
"""

import pathlib
from types import TracebackType
from typing import Any, cast

import jax
import orbax.checkpoint as ocp

from vidjax.train.state import TrainState

_LATEST, _BEST = "checkpoints", "best"


class Checkpoints:
    """The checkpoints of a run, in two folders of its workdir.

    `checkpoints/` holds the last two states; `best/` holds the variables of the best
    evaluation, with its metrics. Writing goes on in the background; `wait` or `close`
    ends when all of it is on disk.

    A best evaluation is on disk before a state of the same step or a later one is: a
    run that goes on from a state finds the best of everything before it.

    Args:
        workdir: Folder of the run.
        read_only: Whether nothing will be saved. Otherwise the folders are made, and
            what a killed process left half written is deleted, at the latest before the
            first state is saved: one writer at a time.
    """

    def __init__(self, workdir: pathlib.Path, *, read_only: bool = False) -> None:
        workdir = pathlib.Path(workdir).absolute()
        self._latest = _open_manager(workdir / _LATEST, keep=2, read_only=read_only)
        self._best = _open_manager(workdir / _BEST, keep=1, read_only=read_only)

    @property
    def latest_step(self) -> int | None:
        """Step of the last whole state, or None."""
        return self._latest.latest_step()

    @property
    def latest_path(self) -> pathlib.Path | None:
        """Folder of the last whole state, or None."""
        step = self.latest_step
        return None if step is None else self._folder / str(step)

    @property
    def _folder(self) -> pathlib.Path:
        return pathlib.Path(self._latest.directory)

    @property
    def best_step(self) -> int | None:
        """Step of the best evaluation, or None."""
        return self._best.latest_step()

    def save(self, step: int, state: TrainState) -> None:
        """Starts to save a state; the state may be donated as soon as this returns.

        Args:
            step: Updates done. A step that is saved already is not saved again.
            state: The train state.
        """
        if step != self._latest.latest_step():
            self._best.wait_until_finished()
            self._latest.save(step, args=ocp.args.StandardSave(state), force=True)

    def restore(self, like: TrainState) -> TrainState:
        """Reads the last whole state.

        Args:
            like: A state of `jax.ShapeDtypeStruct` with shardings.

        Returns:
            The state, laid over devices as `like` says.

        Raises:
            ValueError: If there is none.
        """
        if self.latest_step is None:
            raise ValueError(f"No checkpoint in {self._folder}.")
        args: Any = ocp.args.StandardRestore(like)
        return cast(TrainState, self._latest.restore(self.latest_step, args=args))

    def save_best(
        self, step: int, variables: dict[str, Any], metrics: dict[str, float]
    ) -> None:
        """Starts to save the variables of the best evaluation so far.

        On hardware that does not repeat itself bit for bit, a resumed run may find a
        best at a step that it has yet to reach; it is replaced.

        Args:
            step: Updates done.
            variables: {"params": ..., "batch_stats": ...}.
            metrics: Of this evaluation.
        """
        before = self.best_step
        if before is not None and before >= step:
            self._best.wait_until_finished()
            self._best.delete(before)
        self._best.save(
            step,
            args=ocp.args.Composite(
                variables=ocp.args.StandardSave(variables),
                metrics=ocp.args.JsonSave(metrics),
            ),
            force=True,
        )

    def read_best_metrics(self) -> dict[str, float] | None:
        """Returns the metrics of the best evaluation, or None before the first."""
        if self.best_step is None:
            return None
        args = ocp.args.Composite(metrics=ocp.args.JsonRestore())
        return dict(self._best.restore(self.best_step, args=args)["metrics"])

    def read_best(self, like: dict[str, Any]) -> dict[str, Any]:
        """Reads the variables of the best evaluation.

        Args:
            like: Variables of `jax.ShapeDtypeStruct`, with shardings or without.

        Returns:
            Variables, nested dicts of arrays.

        Raises:
            ValueError: If there are none.
        """
        if self.best_step is None:
            raise ValueError(f"No checkpoint in {self._best.directory}.")
        args = ocp.args.Composite(variables=ocp.args.StandardRestore(like))
        return self._best.restore(self.best_step, args=args)["variables"]

    def wait(self) -> None:
        """Returns when everything that was saved is on disk."""
        self._latest.wait_until_finished()
        self._best.wait_until_finished()

    def close(self) -> None:
        """Waits, and frees what the writers hold."""
        self._latest.close()
        self._best.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def abstract(tree: Any, shardings: Any) -> Any:
    """Returns the shapes, dtypes and shardings of a tree of arrays.

    Args:
        tree: Arrays or `jax.ShapeDtypeStruct`.
        shardings: The same tree of shardings, or one for all.

    Returns:
        The same tree of `jax.ShapeDtypeStruct`.
    """
    if isinstance(shardings, jax.sharding.Sharding):
        shardings = jax.tree.map(lambda _: shardings, tree)
    return jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), tree, shardings
    )


def _open_manager(
    folder: pathlib.Path, *, keep: int, read_only: bool
) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(keep),
        create=not read_only,
        cleanup_tmp_directories=not read_only,
        enable_async_checkpointing=True,
    )
    return ocp.CheckpointManager(folder, options=options)
