"""Sources without files: drawn clips of synthetic data, and numbers of scenes."""

import dataclasses
import functools

import numpy as np

from vidjax.config import SyntheticConfig
from vidjax.data.clips import ONE_VIEW
from vidjax.data.lists import Split
from vidjax.data.synthetic import CLASSES, draw_clip
from vidjax.data.video_source import check_index
from vidjax.typing import ClipSpec, Views

_HELD_OUT = 2**23  # Number of the first held-out scene.
_KEEP_BYTES = 2**28  # Drawn clips are kept if all of a split fit into this.


@dataclasses.dataclass(frozen=True)
class SyntheticSource:
    """The clips of `vidjax.data.synthetic`, drawn when they are first wanted.

    Labels go round, so that classes are balanced. There is one view, and no crop or
    flip: left and right are labels.

    Attributes:
        spec: The clip; its frames and size matter.
        config: How many clips, and the seed.
        split: "train" or "eval"; no clip is in both.
        label_names: Names of the classes; they say what is drawn.
        name: Of the data, for `paths`.
    """

    spec: ClipSpec
    config: SyntheticConfig = dataclasses.field(default_factory=SyntheticConfig)
    split: Split = "train"
    label_names: tuple[str, ...] = CLASSES
    name: str = "synthetic_motion"

    @property
    def num_examples(self) -> int:
        """Examples N."""
        config = self.config
        return config.num_train if self.split == "train" else config.num_eval

    @property
    def labels(self) -> np.ndarray:
        """Class of each example in [0, K), int32 [N]."""
        return np.arange(self.num_examples, dtype=np.int32) % len(self.label_names)

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of the examples, [N]."""
        return tuple(
            f"{self.name}/{self.split}/{self.label_names[label]}/{index:06d}"
            for index, label in enumerate(self.labels)
        )

    def test_shape(self, views: Views) -> tuple[int, ...]:
        """Returns the shape [T, H, W, 3] of a clip, which is that of training.

        Args:
            views: Has no meaning here.

        Returns:
            The shape.
        """
        del views
        return self.spec.pixels_shape

    def clip(self, index: int, *, view: int = 0, views: Views = ONE_VIEW) -> np.ndarray:
        """Returns one clip: a function of the seed, the split and the index alone.

        Args:
            index: Which example, in [0, N).
            view: Has no meaning here.
            views: Has no meaning here.

        Returns:
            The clip, uint8 [T, H, W, 3].

        Raises:
            ValueError: If there is no such example.

        Example:
            >>> source = SyntheticSource(ClipSpec(num_frames=4, size=16))
            >>> source.clip(2).shape
            (4, 16, 16, 3)
        """
        del view, views
        check_index(index, self.num_examples)
        spec, window = self.spec, len(self.spec.window)
        drawing = _drawing(
            *(self.config.seed, self.split, self.num_examples),
            *(spec.num_frames + window - 1, spec.size, self.label_names),
        )
        frames = np.arange(spec.num_frames)[:, None] + np.arange(window)[None]
        return drawing.clip(index)[frames.ravel()]

    def draw(self, index: int, *, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Returns the same clip, and its class: nothing varies in training.

        Args:
            index: Which example, in [0, N).
            rng: Has no meaning here.

        Returns:
            The clip, uint8 [T, H, W, 3], and its class.

        Raises:
            ValueError: If there is no such example.
        """
        del rng
        return self.clip(index), index % len(self.label_names)


@dataclasses.dataclass(frozen=True)
class SceneSource:
    """Numbers of scenes with known flow, which are drawn where a model learns them.

    Attributes:
        config: How many scenes.
        split: "train" or "eval"; no scene is in both.
        spec: The clip: three bytes, the number of the scene.
        label_names: The one class.
    """

    config: SyntheticConfig = dataclasses.field(default_factory=SyntheticConfig)
    split: Split = "train"
    spec: ClipSpec = dataclasses.field(
        default_factory=lambda: ClipSpec(num_frames=1, size=1)
    )
    label_names: tuple[str, ...] = ("scene",)

    @property
    def num_examples(self) -> int:
        """Examples N."""
        config = self.config
        return config.num_train if self.split == "train" else config.num_eval

    @property
    def labels(self) -> np.ndarray:
        """Class of each example, which is 0, int32 [N]."""
        return np.zeros(self.num_examples, np.int32)

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of the examples, [N]."""
        return tuple(f"scenes/{self.split}/{i:06d}" for i in range(self.num_examples))

    def test_shape(self, views: Views) -> tuple[int, ...]:
        """Returns the shape [1, 1, 1, 3] of a clip.

        Args:
            views: Has no meaning here.

        Returns:
            The shape.
        """
        del views
        return self.spec.pixels_shape

    def clip(self, index: int, *, view: int = 0, views: Views = ONE_VIEW) -> np.ndarray:
        """Returns the number of a scene, its highest byte first.

        Args:
            index: Which example, in [0, N).
            view: Has no meaning here.
            views: Has no meaning here.

        Returns:
            Three bytes, uint8 [1, 1, 1, 3]; the first is 128 or more in held-out ones.

        Raises:
            ValueError: If there is no such example.

        Example:
            >>> SceneSource(split="eval").clip(258).ravel().tolist()
            [128, 1, 2]
        """
        del view, views
        check_index(index, self.num_examples)
        number = index if self.split == "train" else _HELD_OUT + index
        digits = np.frombuffer(number.to_bytes(3, "big"), np.uint8)
        return digits.reshape(1, 1, 1, 3)

    def draw(self, index: int, *, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Returns the same number, and the one class.

        Args:
            index: Which example, in [0, N).
            rng: Has no meaning here.

        Returns:
            Three bytes, uint8 [1, 1, 1, 3], and 0.

        Raises:
            ValueError: If there is no such example.
        """
        del rng
        return self.clip(index), 0


class _Drawing:
    """Draws the clips of a split, and keeps them if they all fit into memory."""

    def __init__(
        self,
        seed: int,
        split: Split,
        count: int,
        num_frames: int,
        size: int,
        classes: tuple[str, ...],
    ) -> None:
        self._classes = classes
        self._seed = (seed, 0 if split == "train" else 1)
        self._num_frames, self._size = num_frames, size
        shape = (count, num_frames, size, size, 3)
        fits = np.prod(shape, dtype=np.int64) <= _KEEP_BYTES
        self._kept = np.empty(shape, np.uint8) if fits else None
        self._drawn = np.zeros(count, bool)

    def clip(self, index: int) -> np.ndarray:
        """Returns a clip, uint8 [T, H, W, 3], which nobody may change."""
        if self._kept is not None and self._drawn[index]:
            return self._kept[index]
        clip = draw_clip(
            index % len(self._classes),
            num_frames=self._num_frames,
            size=self._size,
            seed=(*self._seed, index),
            classes=self._classes,
        )
        if self._kept is not None:
            # Threads that draw the same clip at once write the same bytes.
            self._kept[index] = clip
            self._drawn[index] = True
        return clip


# The models that a config compares see the same clips: they are drawn once.
_drawing = functools.lru_cache(maxsize=2)(_Drawing)
