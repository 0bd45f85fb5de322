"""Commands as a user meets them."""

import jaxtyping
import pytest


@pytest.fixture
def unchecked():
    """Turns jaxtyping off, as it is outside the tests: users meet our own errors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
