"""Which frames published samplers take: tables that they returned."""

import json
import pathlib

import numpy as np
import pytest

from vidjax.data import published, published_tsm

CASES = pathlib.Path(__file__).parent / "cases" / "sampling.npz"


def _rows(source, *classes):
    with np.load(CASES) as archive:
        spec = json.loads(archive["spec"].tobytes())
        frames = np.split(archive["frames"], np.cumsum(archive["lengths"])[:-1])
    chosen = [
        (row, list(expected))
        for row, expected in zip(spec, frames, strict=True)
        if row["source"] == source and (not classes or row["cls"] in classes)
    ]
    assert chosen
    return chosen


def _wrong(rows, sample):
    """Rows whose frames are not those of the table."""
    return [row for row, expected in rows if sample(row).ravel().tolist() != expected]


def _random(row):
    return None if row["seed"] is None else np.random.RandomState(row["seed"])


def test_clips_are_those_of_mmaction2():
    def sample(row):
        args, rng = row["args"], _random(row)
        common = {
            "clip_length": args["clip_len"],
            "stride": args["frame_interval"],
            "num_clips": args["num_clips"],
        }
        if rng is not None:
            keep = args.get("keep_tail_frames", False)
            return published.mmaction2_random_clips(
                row["n"], rng=rng, keep_tail=keep, **common
            )
        target = args.get("target_fps")
        return published.mmaction2_clips(
            row["n"],
            twice=args.get("twice_sample", False),
            rate_ratio=row["fps"] / target if target else None,
            repeat_last=args.get("out_of_bound_opt") == "repeat_last",
            **common,
        )

    assert not _wrong(_rows("mmaction2", "SampleFrames"), sample)


def test_uniform_and_dense_clips_and_windows_are_those_of_mmaction2():
    def sample(row):
        args, rng = row["args"], _random(row)
        if row["cls"] == "UniformSample":
            return published.mmaction2_uniform(
                row["n"],
                clip_length=args["clip_len"],
                num_clips=args["num_clips"],
                rng=rng,
            )
        if row["cls"] == "DenseSampleFrames":
            return published_tsm.dense_starts(
                row["n"], segments=args["num_clips"], rng=rng
            )
        return published.mmaction2_windows(
            row["n"],
            clip_length=args["clip_len"],
            stride=args["frame_interval"],
            interval=args["clip_interval"],
        )

    kinds = ("UniformSample", "DenseSampleFrames", "UntrimmedSampleFrames")
    assert not _wrong(_rows("mmaction2", *kinds), sample)


@pytest.mark.parametrize(
    ("kind", "sample"),
    [
        ("val", published_tsm.tsm_validation),
        ("test", published_tsm.tsm_segments),
        ("test_twice", lambda n, **s: published_tsm.tsm_segments(n, twice=True, **s)),
        (
            "test_dense",
            lambda n, segments, **_: published_tsm.dense_starts(n, segments=segments),
        ),
        (
            "train_np_seed0",
            lambda n, **s: published_tsm.tsm_random_segments(
                n, rng=np.random.RandomState(0), **s
            ),
        ),
        (
            "train_dense_np_seed0",
            lambda n, segments, **_: published_tsm.dense_starts(
                n, segments=segments, rng=np.random.RandomState(0)
            ),
        ),
    ],
)
def test_segments_are_those_of_tsm(kind, sample):
    assert not _wrong(_rows("tsm", kind), lambda row: sample(row["n"], **row["args"]))


def test_clips_are_those_of_slowfast_torchvision_and_dmvr():
    def sample(row):
        args = row["args"]
        common = {"clip_length": args["T"], "num_clips": args["N"]}
        if row["source"] == "torchvision":
            return published.torchvision_clips(
                row["n"], rate_ratio=float(args["ratio"]), **common
            )
        common["stride"] = args["stride"]
        if row["source"] == "dmvr":
            return published.dmvr_clips(row["n"], **common)
        return published.pyslowfast_clips(
            row["n"], rate_ratio=float(args["ratio"]), offset=args["offset"], **common
        )

    for source in ("pyslowfast", "torchvision", "dmvr"):
        assert not _wrong(_rows(source), sample)


def test_segments_of_slowfast_are_the_middles_of_rounded_parts():
    # By hand: parts of 9 / 4 frames, edges 0, 2.25, 4.5, 6.75, 9 rounded half to even.
    found = published.pyslowfast_segments(10, segments=4)
    assert found.tolist() == [[1, 3, 5, 8]]
    rng = np.random.default_rng(0)
    draws = [published.pyslowfast_segments(10, segments=4, rng=rng) for _ in range(99)]
    assert np.min(draws, axis=0).tolist() == [[0, 2, 4, 7]]
    assert np.max(draws, axis=0).tolist() == [[2, 4, 7, 9]]


def test_a_torchvision_clip_of_a_short_video_is_looped():
    found = published.torchvision_clips(3, clip_length=5, num_clips=2)
    assert found.tolist() == [[0, 1, 2, 0, 1]] * 2


@pytest.mark.parametrize(
    "sample",
    [
        lambda: published.mmaction2_clips(0, clip_length=1, stride=1, num_clips=1),
        lambda: published.mmaction2_random_clips(
            1, clip_length=0, stride=1, num_clips=1, rng=np.random.default_rng()
        ),
        lambda: published.mmaction2_uniform(1, clip_length=0),
        lambda: published.mmaction2_windows(1, clip_length=1, stride=1, interval=0),
        lambda: published_tsm.dense_starts(1, segments=0),
        lambda: published_tsm.tsm_segments(1, segments=0),
        lambda: published_tsm.tsm_validation(1, segments=0),
        lambda: published_tsm.tsm_random_segments(
            1, segments=0, rng=np.random.default_rng()
        ),
        lambda: published.pyslowfast_clips(1, clip_length=1, stride=0, num_clips=1),
        lambda: published.pyslowfast_segments(1, segments=0),
        lambda: published.torchvision_clips(1, clip_length=1, num_clips=0),
        lambda: published.dmvr_clips(1, clip_length=1, stride=0, num_clips=1),
    ],
)
def test_counts_below_one_are_refused(sample):
    with pytest.raises(ValueError, match="at least 1"):
        sample()


@pytest.mark.parametrize("rng", [np.random.default_rng(0), np.random.RandomState(0)])
def test_both_kinds_of_generators_draw_all_integers(rng):
    drawn = published_tsm.draw_integers(rng, 3, 99)
    assert set(drawn.tolist()) == {0, 1, 2}
    with pytest.raises(ValueError, match="at least 1"):
        published_tsm.check_counts(1, 0)
