"""README.md: its code runs, its table is that of the registry."""

import pathlib
import re

import pytest

from vidjax.models.registry import list_models
from vidjax.tasks.zoo import family_table

README = pathlib.Path(__file__).parent.parent / "README.md"

# The same code on less: what a test has time for.
SMALLER = {
    "(1, 8, 224, 224, 3)": "(1, 2, 32, 32, 3)",
    "batch_size=8)": "batch_size=8, num_frames=16, size=64)",
    "steps=500": "steps=1",
}


def _blocks() -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("number", range(len(_blocks())))
def test_the_code_runs(number, tmp_path, monkeypatch, save_video, video_folder, capsys):
    from vidjax.data.synthetic import draw_clip

    monkeypatch.chdir(tmp_path)
    frames = draw_clip(0, num_frames=16, size=64, seed=0)
    save_video(tmp_path / "video.mp4", frames)
    (tmp_path / "videos").symlink_to(video_folder)
    code = _blocks()[number]
    for full, small in SMALLER.items():
        code = code.replace(full, small)
    exec(compile(code, f"README.md, block {number}", "exec"), {})
    assert "Traceback" not in capsys.readouterr().err


def test_the_reductions_still_apply():
    text = "".join(_blocks())
    assert all(full in text for full in SMALLER)


def test_the_table_of_families_is_that_of_the_registry():
    names = [name for name in list_models() if not name.endswith("_tiny")]
    assert family_table(names) in README.read_text(encoding="utf-8")


def test_the_commands_are_those_of_the_makefile():
    makefile = README.with_name("Makefile").read_text(encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    ci = README.parent / ".ci" / "run"
    assert "make test" in ci.read_text(encoding="utf-8")
