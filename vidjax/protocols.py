"""Test protocols by the names under which people know them, as data.

A protocol says which clips and crops of a video are scored and how the scores are
joined; the model's `ClipSpec` says how long, how large and how normalised a clip is.
"""

import difflib

from vidjax.typing import Views

PROTOCOLS: dict[str, Views] = {
    views.name: views
    for views in (
        # Ours: one clip in the middle, one crop.
        Views(name="center"),
        # Scores of two streams are summed before softmax (kinetics-i3d).
        Views(average="logits", name="center-logits"),
        # Simonyan and Zisserman, NIPS 2014, Sec. 3: 25 places of a video.
        Views(25, name="two-stream-25"),
        # Ours: five clips, three crops, evenly spread.
        Views(5, 3, name="even-5x3"),
        # facebookresearch/SlowFast, TEST.NUM_ENSEMBLE_VIEWS 10, NUM_SPATIAL_CROPS 3,
        # TEST_CROP_SIZE 256 (X3D: 182, 256, 356); the head takes the softmax at each
        # position (slowfast/models/head_helper.py).
        Views(
            *(10, 3, "positions", "pyslowfast", "pyslowfast"),
            whole_side=True,
            name="pyslowfast-30",
        ),
        Views(
            *(10, 1, "positions", "pyslowfast", "pyslowfast"),
            whole_side=True,
            name="pyslowfast-10",
        ),
        # MViT's configs: DATA.USE_OFFSET_SAMPLING, 5 clips, TEST_CROP_SIZE 224.
        Views(5, 1, "softmax", "pyslowfast_offset", "pyslowfast", name="pyslowfast-5"),
        Views(
            *(5, 3, "softmax", "pyslowfast_offset", "pyslowfast"),
            name="pyslowfast-5x3",
        ),
        Views(
            *(10, 1, "softmax", "pyslowfast_offset", "pyslowfast"),
            name="pyslowfast-10x1",
        ),
        # configs/SSv2: one clip of the whole video, three crops of 256.
        Views(
            *(1, 3, "positions", "pyslowfast_segments", "pyslowfast"),
            whole_side=True,
            name="pyslowfast-ssv2-1x3",
        ),
        Views(
            *(1, 1, "positions", "pyslowfast_segments", "pyslowfast"),
            whole_side=True,
            name="pyslowfast-ssv2-1x1",
        ),
        # The same with crops of the trained size (configs/SSv2/MVITv2_*).
        Views(
            *(1, 3, "softmax", "pyslowfast_segments", "pyslowfast"),
            name="pyslowfast-ssv2-1x3-small",
        ),
        # open-mmlab/mmaction2, configs/recognition: SampleFrames(num_clips=10),
        # Resize((-1, 256)), ThreeCrop(256).
        Views(
            *(10, 3, "softmax", "mmaction2", "mmaction2"),
            whole_side=True,
            name="mmaction-10x3",
        ),
        # SampleFrames(num_clips=10), CenterCrop: C3D.
        Views(10, 1, "softmax", "mmaction2", "mmaction2", name="mmaction-10x1"),
        # configs/recognition/uniformer: 4 clips, centre crop.
        Views(4, 1, "softmax", "mmaction2", "mmaction2", name="mmaction-4x1"),
        # UniformSample(clip_len, num_clips=4) and ThreeCrop: UniFormerV2.
        Views(
            *(4, 3, "softmax", "mmaction2_uniform", "mmaction2"),
            whole_side=True,
            name="mmaction-uniform-4x3",
        ),
        # One clip, three crops of 224; frames as configs/recognition/timesformer.
        Views(
            *(1, 3, "softmax", "mmaction2", "mmaction2"),
            whole_side=True,
            name="timesformer-1x3",
        ),
        # 5 clips, 3 crops; frames as configs/recognition/videomae.
        Views(
            *(5, 3, "softmax", "mmaction2", "mmaction2"),
            whole_side=True,
            name="videomae-5x3",
        ),
        # configs/recognition/swin: 4 clips, ThreeCrop(224) of a short side of 224.
        Views(
            *(4, 3, "softmax", "mmaction2", "mmaction2"),
            whole_side=True,
            name="swin-4x3",
        ),
        # Something-Something v2 with Video Swin: one clip, three crops.
        Views(
            *(1, 3, "softmax", "mmaction2", "mmaction2"),
            whole_side=True,
            name="swin-ssv2-1x3",
        ),
        # pytorch/vision, references/video_classification: 5 clips at 15 frames a
        # second, resized to 128 x 171 whatever the shape, centre crop of 112.
        Views(
            *(5, 1, "softmax", "torchvision", "torchvision"),
            aspect=171 / 128,
            name="torchvision-5",
        ),
        # facebookresearch/VMZ, pt/vmz/func/test.py: the same with ten clips.
        Views(
            *(10, 1, "softmax", "torchvision", "torchvision"),
            aspect=171 / 128,
            name="vmz-10",
        ),
        # The weights of S3D there: one clip of 128 frames, resized to 256 x 256.
        Views(
            *(1, 1, "softmax", "torchvision", "torchvision"),
            aspect=1.0,
            name="torchvision-s3d-1",
        ),
        # google-research/scenic, projects/vivit: num_test_clips 4 and
        # do_multicrop_test; the logits of the views are averaged.
        Views(4, 3, "logits", "dmvr", "pyslowfast", name="scenic-4x3"),
        # mit-han-lab/temporal-shift-module, test_models.py: the centre of each segment;
        # --twice_sample with three crops; --dense_sample with ten starts.
        Views(1, 1, "logits", "tsm", "tsm", name="tsm-1x1"),
        Views(
            *(2, 3, "logits", "tsm_twice", "tsm"),
            whole_side=True,
            name="tsm-2x3",
        ),
        Views(10, 3, "logits", "tsm_dense", "tsm", name="tsm-dense10"),
        # TSN, Sec. 4.2: 25 segments, 10 crops; each is scored alone.
        Views(1, 10, "logits", "tsm", "tsm", num_frames=25, name="tsn-25x10"),
        # Carreira and Zisserman, CVPR 2017, Sec. 3: at test time over the whole video,
        # 10 s at 25 frames a second, centre crop.
        Views(num_frames=250, name="i3d-full"),
        # facebookresearch/vjepa2, configs/eval/*/ssv2.yaml: 2 segments, 3 crops.
        Views(2, 3, "softmax", "even", "even", whole_side=True, name="vjepa2-2x3"),
    )
}
"""The protocols by name."""


def protocol(name: str) -> Views:
    """Returns a test protocol by its name.

    Args:
        name: Such as "pyslowfast-30"; `PROTOCOLS` has all.

    Returns:
        The protocol.

    Raises:
        ValueError: If there is none of that name; a near one is suggested.

    Example:
        >>> protocol("swin-4x3").num_views
        12
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = difflib.get_close_matches(name, PROTOCOLS, n=1, cutoff=0.3)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"There is no test protocol {name!r}: known are {', '.join(PROTOCOLS)}.{hint}"
    )
