"""For which platform operations choose their forms."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_TARGET: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "target_platform", default=None
)


def target_platform() -> str:
    """Returns the platform that programs are traced for: "cpu", "gpu" or "tpu".

    Returns:
        That of `compile_for`, or of the default device; "any" asks for the plain form
        of everything.

    Example:
        >>> with compile_for("tpu"):
        ...     target_platform()
        'tpu'
    """
    return _TARGET.get() or jax.default_backend()


@contextlib.contextmanager
def compile_for(platform: str) -> Iterator[None]:
    """Makes operations take the forms of a platform, whichever the default device is.

    It acts while a function is traced: a program that was jitted before keeps its form.

    Args:
        platform: "cpu", "gpu", "tpu", or "any" for the plain form of everything, in
            which multiply-adds are counted.

    Yields:
        Nothing.

    Raises:
        ValueError: If the platform is none of these.

    Example:
        >>> with compile_for("tpu"):
        ...     shape = jax.eval_shape(lambda: jax.numpy.zeros(3))
    """
    if platform not in ("cpu", "gpu", "tpu", "any"):
        raise ValueError(
            f'platform must be "cpu", "gpu", "tpu" or "any", got {platform!r}.'
        )
    token = _TARGET.set(platform)
    try:
        yield
    finally:
        _TARGET.reset(token)
