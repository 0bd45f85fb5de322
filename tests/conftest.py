"""What every test runs under: eight simulated devices, fast compilation, strict JAX."""

import gc
import importlib.metadata
import os
import pathlib
import re

# Before JAX is imported. Level 0 compiles 3D networks three times faster for the same
# numbers, and without XLA's fusion emitters on CPU four times faster still; the cache
# makes a second run of the suite cheap.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(pathlib.Path(__file__).parent.parent / ".cache" / "jax"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jax
import jaxtyping
import numpy as np
import psutil
import pytest

from vidjax.data.synthetic import CLASSES, draw_clip
from vidjax.data.transforms import crop_clip, short_side_size, view_box

jax.config.update("jax_numpy_rank_promotion", "raise")

# Traces are millions of small objects: Python's usual thresholds spend a seventh of the
# suite's time on looking through them.
gc.set_threshold(200_000, 20, 20)
_ROOM = 1 << 30  # Bytes that traces and compiled programs may take. Ours.
_limit = psutil.Process().memory_info().rss + _ROOM


@pytest.fixture(autouse=True)
def bounded_memory():
    """Forgets traces and compiled programs once they have filled their room."""
    global _limit
    yield
    if psutil.Process().memory_info().rss > _limit:
        jax.clear_caches()
        gc.collect()
        _limit = psutil.Process().memory_info().rss + _ROOM


@pytest.fixture(scope="session")
def save_video():
    """Writes uint8 frames [T, H, W, 3] as an H.264 file of 25 frames a second."""
    import av

    def save(path: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
        return path

    return save


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory, save_video):
    """A folder with the folders "left" and "right" of five short videos each."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("left", "right"):
        for i in range(5):
            frames = draw_clip(CLASSES.index(name), num_frames=12, size=48, seed=i)
            save_video(folder / name / f"clip {i}.mp4", frames)
    return folder


@pytest.fixture
def unchecked():
    """Turns jaxtyping off, as it is outside the tests: users meet our own errors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def photos():
    """Twenty labelled photos, uint8 [20, 224, 224, 3], and their ImageNet classes.

    They are foolbox's, whose file names end in the class; the short side becomes 256
    pixels, and the centre is kept.
    """
    import av

    images, labels = [], []
    for file in sorted(importlib.metadata.files("foolbox") or ()):
        match = re.fullmatch(r"imagenet_\d+_(\d+)\.jpg", file.name)
        if not match:
            continue
        with av.open(str(file.locate())) as container:
            frame = next(container.decode(video=0))
        height, width = short_side_size(frame.height, frame.width, 256)
        # In two steps: FFmpeg is less exact where it does both at once.
        frame = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), "rgb24")
        frame = frame.reformat(width, height, interpolation="BICUBIC")
        box = view_box(height, width, size=224, crop=0, num_crops=1)
        images.append(crop_clip(frame.to_ndarray()[None], box)[0])
        labels.append(int(match.group(1)))
    return np.stack(images), np.array(labels)
