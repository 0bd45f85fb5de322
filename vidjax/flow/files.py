"""Flow in files: Middlebury's .flo, KITTI's 16-bit PNG, and pairs of JPEG images.

Pixels without a flow are NaN in arrays. Files are written under a temporary name and
renamed, so that a reader never sees half of one.
"""

import fractions
import os
import pathlib
from typing import Any

import numpy as np

from vidjax.flow.encode import BOUND_PX

StrPath = str | os.PathLike[str]

_FLO_TAG = b"PIEH"  # The bytes of the float 202021.25.
_FLO_UNKNOWN = 1e9  # Middlebury's code counts larger ones as unknown, and writes 1e10.
_KITTI_SCALE, _KITTI_ZERO = 64, 2**15  # KITTI's development kit.
# FFmpeg's scale of JPEG quality, 1 (best) to 31. At 2 luma is within a few codes.
_JPEG_QUALITY = 2
# In the names of yjxiong/dense_flow, denseflow and mmaction2.
_ACROSS, _DOWN = "flow_x", "flow_y"


def read_flow(path: StrPath, *, bound: float = BOUND_PX) -> np.ndarray:
    """Reads flow from a file; its name says of which kind.

    Args:
        path: A file .flo; .png, KITTI's; or .jpg with "flow_x" in its name, whose
            partner has "flow_y" there.
        bound: Displacement that the bytes of JPEG images reach to, in pixels.

    Returns:
        Displacements (u, v) in pixels, float32 [H, W, 2]; NaN where there is none.

    Raises:
        ValueError: If the ending is another one, the file is not what its ending says,
            or a JPEG image lacks its partner.
        OSError: If the file cannot be opened.
        ImportError: If PNG or JPEG is read and PyAV is missing.
    """
    path = pathlib.Path(path)
    match path.suffix.lower():
        case ".flo":
            return _read_flo(path)
        case ".png":
            return _read_kitti(path)
        case ".jpg" | ".jpeg":
            codes = [_read_image(one, "gray") for one in _jpeg_pair(path)]
            if codes[0].shape != codes[1].shape:
                raise ValueError(
                    f"{path} and its partner differ in size: {codes[0].shape} and "
                    f"{codes[1].shape}, read as [H, W]."
                )
            return np.stack(codes, -1).astype(np.float32) * (2 * bound / 255) - bound
    raise ValueError(_unknown_ending(path))


def write_flow(path: StrPath, flow: np.ndarray, *, bound: float = BOUND_PX) -> None:
    """Writes flow to a file; its name says of which kind.

    Args:
        path: As in `read_flow`; replaced if it is there. Of a pair of JPEG images,
            the one with "flow_x" in its name.
        flow: Displacements (u, v) in pixels, [H, W, 2]; NaN where there is none, which
            JPEG images cannot say.
        bound: Displacement that the bytes of JPEG images reach to, in pixels.

    Raises:
        ValueError: If the ending is another one, `flow` is not [H, W, 2], or cannot be
            said in that kind of file.
        OSError: If the file cannot be written.
        ImportError: If PNG or JPEG is written and PyAV is missing.
    """
    path, flow = pathlib.Path(path), np.asarray(flow, np.float32)
    if flow.ndim != 3 or flow.shape[-1] != 2:
        raise ValueError(f"Expected one flow [H, W, 2], got shape {flow.shape}.")
    match path.suffix.lower():
        case ".flo":
            _write_bytes(path, _flo_bytes(flow))
        case ".png":
            _write_bytes(path, _kitti_bytes(path, flow))
        case ".jpg" | ".jpeg":
            _write_jpeg_pair(path, flow, bound)
        case _:
            raise ValueError(_unknown_ending(path))


def _read_flo(path: pathlib.Path) -> np.ndarray:
    content = path.read_bytes()
    if content[:4] != _FLO_TAG or len(content) < 12:
        raise ValueError(f"{path} is no .flo file: it does not begin with {_FLO_TAG}.")
    width, height = (int(n) for n in np.frombuffer(content, "<i4", 2, 4))
    want = 12 + 8 * width * height
    if min(width, height) < 1 or len(content) != want:
        raise ValueError(
            f"{path} is damaged: {width} x {height} pixels (width x height) take "
            f"{want} bytes, and it has {len(content)}."
        )
    flow = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2)
    unknown = ~(np.abs(flow) <= _FLO_UNKNOWN).all(-1, keepdims=True)
    return np.where(unknown, np.float32(np.nan), flow.astype(np.float32))


def _flo_bytes(flow: np.ndarray) -> bytes:
    height, width, _ = flow.shape
    known = np.isfinite(flow).all(-1, keepdims=True)
    data = np.where(known, flow, np.float32(10 * _FLO_UNKNOWN)).astype("<f4")
    return _FLO_TAG + np.array([width, height], "<i4").tobytes() + data.tobytes()


def _read_kitti(path: pathlib.Path) -> np.ndarray:
    pixels = _read_image(path, "rgb48be").astype(np.float32)
    flow = (pixels[..., :2] - _KITTI_ZERO) / _KITTI_SCALE
    return np.where(pixels[..., 2:] > 0, flow, np.float32(np.nan))


def _kitti_bytes(path: pathlib.Path, flow: np.ndarray) -> bytes:
    known = np.isfinite(flow).all(-1, keepdims=True)
    code = np.rint(np.where(known, flow, 0.0) * _KITTI_SCALE) + _KITTI_ZERO
    if code.min() < 0 or code.max() > 2**16 - 1:
        raise ValueError(
            f"{path}: KITTI's files hold flow in [-512, 512) pixels, got "
            f"{np.nanmin(flow):g} to {np.nanmax(flow):g}."
        )
    pixels = np.concatenate([np.where(known, code, 0), known], -1).astype(np.uint16)
    return _encode(pixels, "rgb48be", codec="png")


def _write_jpeg_pair(path: pathlib.Path, flow: np.ndarray, bound: float) -> None:
    if not np.isfinite(flow).all():
        raise ValueError(f"{path}: JPEG images cannot say that a pixel has no flow.")
    codes = np.clip(np.rint((flow + bound) * (255 / (2 * bound))), 0, 255)
    for one, code in zip(_jpeg_pair(path), np.moveaxis(codes, -1, 0), strict=True):
        _write_bytes(one, _jpeg_bytes(code.astype(np.uint8)))


def _jpeg_bytes(grey: np.ndarray) -> bytes:
    """Encodes a grey image, uint8 [H, W]."""
    # FFmpeg's encoder has no grey: luma is kept as it is, and the colours are neutral.
    neutral = np.full_like(grey, 128)
    return _encode(np.stack([grey, neutral, neutral]), "yuvj444p", codec="mjpeg")


def _jpeg_pair(path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    if _ACROSS in path.name:
        return path, path.with_name(path.name.replace(_ACROSS, _DOWN))
    raise ValueError(
        f'Expected a pair of images with "flow_x" and "flow_y" in their names, got '
        f"{path.name}."
    )


def _unknown_ending(path: pathlib.Path) -> str:
    return f"Expected a name that ends in .flo, .png or .jpg, got {path.name}."


def _write_bytes(path: pathlib.Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _read_image(path: pathlib.Path, pixel_format: str) -> np.ndarray:
    """Decodes a picture: [H, W] or [H, W, C]."""
    av = _import_av()
    with path.open("rb") as file:  # So that a missing one is the usual OSError.
        try:
            with av.open(file) as container:
                frame = next(container.decode(video=0))
        except (av.error.FFmpegError, StopIteration, IndexError) as error:
            raise ValueError(f"{path} is no picture that can be read.") from error
    deep = any(part.bits > 8 for part in frame.format.components)
    if deep != pixel_format.startswith("rgb48"):
        want = "16-bit colour, as KITTI's flow is" if not deep else "8-bit"
        raise ValueError(f"{path} is not {want}, but {frame.format.name}.")
    if pixel_format == "gray" and not frame.format.is_rgb:
        luma = frame.planes[0]  # As it is in the file, not scaled to another range.
        rows = np.frombuffer(luma, np.uint8).reshape(-1, luma.line_size)
        return rows[: frame.height, : frame.width].copy()
    return frame.to_ndarray(format=pixel_format)


def _encode(pixels: np.ndarray, pixel_format: str, *, codec: str) -> bytes:
    """Encodes one picture, whose pixels come as the codec keeps them."""
    av = _import_av()
    frame = av.VideoFrame.from_ndarray(pixels, format=pixel_format)
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt, encoder.time_base = pixel_format, fractions.Fraction(1)
    if codec == "mjpeg":
        encoder.qmin = encoder.qmax = _JPEG_QUALITY
        encoder.color_range = 2  # All of 0 to 255.
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "Images are read and written by PyAV, which is not installed. This "
            'installs it: pip install "vidjax[data]"'
        ) from error
    return av
