"""Labels and clips from Python, with the real Kinetics-400 weights."""

import jax
import numpy as np
import pytest

import vidjax
from vidjax.data import VideoError, draw_clip
from vidjax.tasks.predict import make_recognizer, plot_labels


@pytest.fixture(scope="module")
def video(tmp_path_factory, save_video):
    """Twenty frames of 72 x 96 pixels; the brightness is the number of the frame."""
    frames = np.full((20, 72, 96, 3), 20, np.uint8) + np.uint8(8) * np.arange(
        20, dtype=np.uint8
    ).reshape(-1, 1, 1, 1)
    return save_video(tmp_path_factory.mktemp("v") / "grey.mp4", frames)


def test_load_clip_is_decoded_and_normalised_as_the_card_says(video):
    clip = vidjax.load_clip(video, "frame_average_resnet_tiny")
    spec = vidjax.model_card("frame_average_resnet_tiny").clip
    assert clip.shape == (1, *spec.shape)
    assert clip.dtype == np.float32
    # Eight frames from the middle of twenty: 6 to 13, eight grey levels apart.
    grey = np.asarray(clip[0, :, 16, 16, 0] * spec.std[0] + spec.mean[0]) * 255
    np.testing.assert_allclose(grey, 20 + 8 * np.arange(6, 14), atol=3)


def test_predict_gives_the_most_probable_labels_first(video):
    model = vidjax.create_model("c3d_tiny", num_classes=3)
    clip = vidjax.load_clip(video, "c3d_tiny")
    variables = model.init(jax.random.key(0), clip)
    found = vidjax.predict("c3d_tiny", variables, video, top=2, labels=["a", "b", "c"])
    logits, _ = model.apply(variables, clip)
    expected = jax.nn.softmax(logits[0])
    order = np.argsort(-np.asarray(expected))[:2]
    assert [p.label for p in found] == ["abc"[k] for k in order]
    np.testing.assert_allclose(
        [p.probability for p in found], expected[order], atol=1e-5
    )


def test_without_names_classes_are_numbered(video):
    model = vidjax.create_model("c3d_tiny", num_classes=3)
    variables = model.init(jax.random.key(0), vidjax.load_clip(video, "c3d_tiny"))
    found = vidjax.predict("c3d_tiny", variables, video, top=9)
    assert sorted(p.label for p in found) == ["class 0", "class 1", "class 2"]


def test_the_number_of_labels_must_be_that_of_the_classes(video):
    model = vidjax.create_model("c3d_tiny", num_classes=3)
    variables = model.init(jax.random.key(0), vidjax.load_clip(video, "c3d_tiny"))
    with pytest.raises(ValueError, match="Expected 3 labels"):
        vidjax.predict("c3d_tiny", variables, video, labels=["a"])


def test_a_file_that_is_no_video_raises(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("hello")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        vidjax.load_clip(path, "i3d_rgb")


def test_nothing_to_plot_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to plot"):
        plot_labels([], tmp_path / "x.png")


def test_the_published_i3d_labels_a_video_with_kinetics_names(tmp_path, save_video):
    # Drawn motion is no Kinetics class; what is checked is that the real weights, the
    # real names and the whole protocol work. Real clips: README.md.
    frames = draw_clip(0, num_frames=70, size=96, seed=3)
    path = save_video(tmp_path / "drawn.mp4", frames)
    recognizer = make_recognizer(
        "i3d_rgb", vidjax.load_variables("i3d_rgb", "kinetics400")
    )
    assert len(recognizer.label_names) == 400
    assert recognizer.label_names[:2] == ("abseiling", "air drumming")
    result = recognizer.label(path, top=400)
    assert sum(p.probability for p in result.predictions) == pytest.approx(1, abs=1e-3)
    assert result.predictions[0].probability > 1 / 400
