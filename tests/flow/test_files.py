"""Files of flow, to and from OpenCV."""

import cv2
import numpy as np
import pytest

from vidjax.flow.files import read_flow, write_flow


@pytest.fixture
def flow():
    """Smooth flow of odd size, up to 15 pixels."""
    y, x = np.mgrid[-1:1:31j, -1:1:45j]
    return np.stack([15 * np.sin(3 * x + y), 12 * y], axis=-1).astype(np.float32)


def test_flo_comes_back_exactly_and_is_opencvs(flow, tmp_path):
    path = tmp_path / "a.flo"
    write_flow(path, flow)
    np.testing.assert_array_equal(read_flow(path), flow)
    np.testing.assert_array_equal(cv2.readOpticalFlow(str(path)), flow)
    cv2.writeOpticalFlow(str(path), flow * 2)
    np.testing.assert_array_equal(read_flow(path), flow * 2)
    assert [p.name for p in tmp_path.iterdir()] == ["a.flo"]


def test_kittis_png_comes_back_to_a_64th_and_is_opencvs(flow, tmp_path):
    path = tmp_path / "a.png"
    write_flow(path, flow)
    np.testing.assert_allclose(read_flow(path), flow, atol=1 / 128)
    pixels = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[..., 2], np.rint(flow[..., 0] * 64) + 2**15)
    assert (pixels[..., 0] == 1).all()
    cv2.imwrite(str(path), pixels[::-1])
    np.testing.assert_allclose(read_flow(path), flow[::-1], atol=1 / 128)


@pytest.mark.parametrize("ending", [".flo", ".png"])
def test_pixels_without_flow_are_nan(flow, ending, tmp_path):
    flow[3, 4] = np.nan
    path = tmp_path / f"a{ending}"
    write_flow(path, flow)
    unknown = np.isnan(read_flow(path))
    assert unknown[3, 4].all()
    assert unknown.sum() == 2


def test_jpeg_pairs_come_back_within_the_step_and_the_coding(flow, tmp_path):
    write_flow(tmp_path / "flow_x_00001.jpg", flow)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["flow_x_00001.jpg", "flow_y_00001.jpg"]
    error = np.abs(read_flow(tmp_path / "flow_x_00001.jpg") - flow)
    assert error.mean() < 0.15  # The step is 0.157 pixels.
    assert error.max() < 0.6
    for part, name in zip(np.moveaxis(flow, -1, 0), names, strict=True):
        code = cv2.imread(str(tmp_path / name), cv2.IMREAD_GRAYSCALE)
        assert np.abs(code - np.rint(255 * (part + 20) / 40)).max() <= 3


def test_grey_jpegs_of_others_are_read(flow, tmp_path):
    for part, name in zip(np.moveaxis(flow, -1, 0), "xy", strict=True):
        code = np.rint(255 * (part + 32) / 64).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"flow_{name}_7.jpg"), code)
    error = np.abs(read_flow(tmp_path / "flow_x_7.jpg", bound=32.0) - flow)
    assert error.max() < 1.0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.flo", b"PIEH" + bytes(8), "is damaged: 0 x 0"),
        ("a.flo", b"PIEH\x02\0\0\0\x02\0\0\0" + bytes(31), "take 44 bytes"),
        ("a.flo", b"hello there!", "is no .flo file"),
        ("a.png", b"hello", "is no picture"),
        ("flow_x_1.jpg", b"hello", "is no picture"),
        ("a.jpg", b"hello", '"flow_x" and "flow_y"'),
        ("a.tiff", b"hello", "ends in .flo, .png or .jpg"),
    ],
)
def test_what_is_no_flow_is_one_sentence(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_flow(tmp_path / name)


def test_a_png_of_bytes_is_not_kittis(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="is not 16-bit colour"):
        read_flow(tmp_path / "a.png")


def test_a_pair_of_two_sizes_and_a_missing_partner_are_errors(flow, tmp_path):
    write_flow(tmp_path / "flow_x_1.jpg", flow)
    cv2.imwrite(str(tmp_path / "flow_y_1.jpg"), np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="differ in size"):
        read_flow(tmp_path / "flow_x_1.jpg")
    (tmp_path / "flow_y_1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"flow_y_1\.jpg"):
        read_flow(tmp_path / "flow_x_1.jpg")


def test_what_a_file_cannot_say_is_an_error_and_leaves_the_old_one(flow, tmp_path):
    path = tmp_path / "a.png"
    write_flow(path, flow)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"\[-512, 512\) pixels"):
        write_flow(path, flow + 600)
    assert path.read_bytes() == before
    flow[0, 0] = np.nan
    with pytest.raises(ValueError, match="cannot say"):
        write_flow(tmp_path / "flow_x_1.jpg", flow)
    with pytest.raises(ValueError, match=r"\(2, 31, 45, 2\)"):
        write_flow(path, np.stack([flow, flow]))
    with pytest.raises(ValueError, match="ends in"):
        write_flow(tmp_path / "a.txt", flow)
