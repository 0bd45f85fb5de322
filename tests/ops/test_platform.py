import jax
import pytest

from vidjax.ops.platform import compile_for, target_platform


def test_the_platform_is_that_of_the_default_device_unless_told():
    assert target_platform() == jax.default_backend()
    with compile_for("tpu"):
        assert target_platform() == "tpu"
        with compile_for("gpu"):
            assert target_platform() == "gpu"
        assert target_platform() == "tpu"
    with compile_for("any"):
        assert target_platform() == "any"
    assert target_platform() == jax.default_backend()


def test_an_unknown_platform_is_refused():
    with pytest.raises(ValueError, match="'npu'"), compile_for("npu"):
        pass
