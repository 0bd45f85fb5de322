"""`import vidjax` is fast and light, and its public names are there."""

import subprocess
import sys

import pytest

import vidjax


def _modules_after(code: str) -> set[str]:
    code += "; import sys; print(' '.join(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_import_loads_nothing_heavy():
    # Which is what keeps it far under three seconds, on any machine.
    heavy = {"jax", "flax", "orbax", "tensorflow", "torch", "av", "matplotlib"}
    assert not heavy & _modules_after("import vidjax")


def test_models_need_neither_tensorflow_nor_torch():
    loaded = _modules_after("import vidjax; vidjax.create_model('i3d_rgb')")
    assert "flax" in loaded
    assert not {"tensorflow", "torch", "av", "matplotlib"} & loaded


def test_every_public_name_can_be_had():
    for name in vidjax.__all__:
        assert getattr(vidjax, name) is not None, name
    assert set(vidjax.__all__) <= set(dir(vidjax))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="creat_model"):
        vidjax.creat_model  # noqa: B018
