"""What importing the data room costs."""

import subprocess
import sys


def test_importing_and_drawing_take_neither_tensorflow_nor_pyav():
    code = (
        "import sys, vidjax.data as data\n"
        "data.draw_clip(0, num_frames=2, size=8, seed=0)\n"
        "from vidjax.data import sampling, sources, transforms\n"
        "print(sorted({'tensorflow', 'av', 'torch'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
