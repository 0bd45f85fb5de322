"""How training clips vary, as a picture: docs/data.md.

    python benchmarks/augmentation.py --picture docs/augmentation.jpg

A row a setting of `data.augment`, with three frames of one clip of `synthetic_motion`;
every frame of a row has the same draw.
"""

import argparse
import pathlib
import tempfile

import av
import matplotlib.pyplot as plt
import numpy as np

from vidjax.config import AugmentConfig
from vidjax.data.clips import FileVideo, random_clip
from vidjax.data.synthetic import draw_clip
from vidjax.typing import ClipSpec

SPEC = ClipSpec(num_frames=3, frame_stride=6, size=112)
ROWS: dict[str, tuple[AugmentConfig, float]] = {
    "random crop": (AugmentConfig(), 0.0),
    "crop: resized": (AugmentConfig(crop="resized"), 0.0),
    "crop: multi_scale": (AugmentConfig(crop="multi_scale"), 0.0),
    "flip": (AugmentConfig(), 1.0),
    "brightness, contrast": (AugmentConfig(brightness=0.6, contrast=0.6), 0.0),
    "saturation, hue": (AugmentConfig(saturation=0.9, hue=0.4), 0.0),
    "gray_rate": (AugmentConfig(gray_rate=1.0), 0.0),
    "rand_augment (4, 7)": (AugmentConfig(rand_augment=(4, 7.0)), 0.0),
    "erase_rate": (AugmentConfig(erase_rate=1.0), 0.0),
}
SEED = 4


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=pathlib.Path, required=True)
    picture = parser.parse_args().picture
    with tempfile.TemporaryDirectory() as folder:
        video = FileVideo(write(pathlib.Path(folder) / "clip.mp4"))
        figure, axes = plt.subplots(len(ROWS), 3, figsize=(5.2, 1.25 * len(ROWS)))
        for row, (name, (augment, flip)) in zip(axes, ROWS.items(), strict=True):
            rng = np.random.default_rng(SEED)
            clip, _ = random_clip(video, SPEC, rng=rng, flip_rate=flip, augment=augment)
            for pane, frame in zip(row, clip, strict=True):
                pane.imshow(frame)
                pane.set_axis_off()
            row[0].text(
                -0.08, 0.5, name, ha="right", va="center", transform=row[0].transAxes
            )
    figure.subplots_adjust(0.36, 0.01, 0.99, 0.99, 0.03, 0.05)
    figure.savefig(picture, dpi=90, pil_kwargs={"quality": 80})


def write(path: pathlib.Path) -> pathlib.Path:
    """Writes a clip that is wider than high, as videos are."""
    frames = draw_clip(0, num_frames=20, size=192, seed=3)[:, 24:168]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=20)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
