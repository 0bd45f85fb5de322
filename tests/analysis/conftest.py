"""Programs of small functions and of registered models."""

import functools

import jax
import jax.numpy as jnp
import jaxtyping
import pytest

from vidjax.analysis.cost import trace
from vidjax.analysis.program import flatten
from vidjax.models.registry import create_model


@pytest.fixture(scope="session")
def program_of():
    """Flattens a function of float32 arrays of the shapes given."""

    def make(function, *shapes):
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        return flatten(jax.make_jaxpr(function)(*arrays))

    return make


@pytest.fixture(scope="session")
def traced():
    """The forward pass of a registered model; each is traced once.

    Without jaxtyping, which triples the time; `models/test_all.py` has it on.
    """

    @functools.lru_cache(maxsize=8)
    def make(name, clip_shape, **arguments):
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            return trace(create_model(name, **arguments), clip_shape)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return make
