"""A video whose flow was computed before, as clips are made of it."""

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from vidjax.data.decode import Resizer
from vidjax.data.flow_files import FlowFiles, open_flow
from vidjax.data.geometry import Geometry
from vidjax.data.timeline import VideoError
from vidjax.data.transforms import crop_clip, flip_clip
from vidjax.typing import Interpolation

if TYPE_CHECKING:
    from vidjax.data.clips import FileVideo

_STILL = 128  # The byte of zero flow.
_SAME_RATE = (
    0.01  # Ours: rates of containers are rounded, such as 29.97 for 30000/1001.
)


@dataclasses.dataclass(frozen=True)
class FlowVideo:
    """A video file and its flow. Its frames are those between which flow was computed.

    Attributes:
        video: The whole file.
        places: Where its flow may be; see `vidjax.data.flow_files`.
    """

    video: "FileVideo"
    places: tuple[pathlib.Path, ...]

    @property
    def name(self) -> str:
        """The path of the video."""
        return self.video.name

    @property
    def num_frames(self) -> int:
        """Frames N, one more than flows."""
        return len(self._shown)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._flow.fps or self.video.fps

    def shown(self, fps: float | None) -> np.ndarray:
        """Returns all frames, which have the rate of the flow.

        Args:
            fps: The rate that a clip wants; None takes any.

        Returns:
            Indices in [0, N), int64 [N].

        Raises:
            VideoError: If the flow was computed at another rate, or there are not as
                many flows as there should be.
        """
        if fps is not None and abs(fps - self.fps) > _SAME_RATE:
            raise VideoError(
                f"The flow of {self.name} was computed at {self.fps:g} frames per "
                f"second, and the clip wants {fps:g}: vidjax flow --fps {fps:g}."
            )
        frames, flows = self.num_frames, self._flow.count
        # Some published data has an image for the last frame as well.
        if flows not in (frames - 1, frames):
            raise VideoError(
                f"{self.name} has {frames} frames at {self.fps:g} per second, and its "
                f"flow {flows} images or entries, not {frames - 1}."
            )
        return np.arange(frames)

    def read(
        self, indices: np.ndarray, geometry: Geometry, interpolation: Interpolation
    ) -> np.ndarray:
        """Reads a part of some frames.

        Args:
            indices: Which frames, [T], each in [0, N).
            geometry: To which size they are resized, and what is cut out of that.
            interpolation: How they are resized.

        Returns:
            Pixels, uint8 RGB [T, box.height, box.width, 3].

        Raises:
            VideoError: If they cannot be read.
        """
        return self.video.read(self._shown[indices], geometry, interpolation)

    def read_flow(
        self,
        windows: np.ndarray,
        geometry: Geometry,
        interpolation: Interpolation,
        *,
        mirrored: bool,
    ) -> np.ndarray:
        """Reads the flow between the neighbours in windows of frames.

        Args:
            windows: Frames, [T, L + 1], each in [0, N). Between a frame and one that is
                not the next, such as itself, nothing moves.
            geometry: To which size flow is resized, and what is cut out of that.
            interpolation: How it is resized, as an image: displacements stay as they
                are, in pixels of the frames that they were computed on.
            mirrored: Whether left and right are swapped.

        Returns:
            Bytes u0, v0, u1, v1 and so on, uint8 [T, box.height, box.width, 2 L].

        Raises:
            VideoError: If they cannot be read.
        """
        first = windows[:, :-1]
        moves = (windows[:, 1:] == first + 1).ravel()
        # A window in which nothing moves still has a size: that of some flow.
        wanted = np.where(moves, first.ravel(), 0)
        numbers, inverse = np.unique(wanted, return_inverse=True)
        codes = self._flow.codes(numbers, mirrored=mirrored)
        size, box = geometry(*codes.shape[1:3])
        planes = np.moveaxis(codes, -1, 1).reshape(-1, *codes.shape[1:3])
        if size != codes.shape[1:3]:
            resize = Resizer(size, interpolation)
            planes = np.stack([resize(plane) for plane in planes])
        cut = crop_clip(planes[..., None], box)
        cut = flip_clip(cut) if mirrored else cut
        flows = cut.reshape(len(numbers), 2, box.height, box.width)[inverse]
        flows = np.where(moves[:, None, None, None], flows, np.uint8(_STILL))
        stacked = flows.reshape(len(windows), -1, box.height, box.width)
        return np.moveaxis(stacked, 1, -1)

    @functools.cached_property
    def _flow(self) -> FlowFiles:
        try:
            return open_flow(self.places)
        except ValueError as error:
            raise VideoError(f"{self.name}: {error}.") from error

    @functools.cached_property
    def _shown(self) -> np.ndarray:
        """The frame of the file for each of ours."""
        return self.video.shown(self._flow.fps)
