"""Widths, depths and strides of Multiscale Vision Transformers, block by block.

Reference:
    Fan et al., "Multiscale Vision Transformers", ICCV 2021,
    https://arxiv.org/abs/2104.11227, Table 2, and Li et al., "MViTv2: Improved
    Multiscale Vision Transformers for Classification and Detection", CVPR 2022,
    https://arxiv.org/abs/2112.01526; details are those of facebookresearch/SlowFast.
"""

import dataclasses
import itertools
from typing import Literal

Extent = tuple[int, ...]
"""Frames, rows and columns of a map."""

PATCH_STRIDE = (2, 4, 4)


@dataclasses.dataclass(frozen=True)
class Stage:
    """What a block of a network is made of.

    Attributes:
        name: Of the stage that it belongs to.
        heads: Heads of attention.
        width: Channels of queries, keys and values, over all heads.
        features: Channels of the result.
        stride: Step over rows and columns between queries.
        kv_stride: Step over them between keys.
        rows: Sizes (time, space) of the tables of relative positions.
    """

    name: str
    heads: int
    width: int
    features: int
    stride: int
    kv_stride: int
    rows: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Widths and depths of a network, and what v1 and v2 do differently.

    Attributes:
        depth: Number of blocks.
        doubles: The blocks in which attention has twice the width and heads of the
            block before, and queries are pooled to half the rows and columns.
        width: Channels in the first attention.
        heads: Heads in the first attention.
        frames: Frames of the clips for which tables of positions are made; those of
            other clips are resized from them.
        size: Their rows and columns, in pixels.
        kv_stride: Step over rows and columns between keys in the first block; it halves
            where queries are pooled.
        relative: Whether positions are biases of attention by the distance between
            query and key along each axis (v2), or are added to tokens once (v1).
        widen_in_attention: Whether the attention of a block widens it (v2), or the MLP
            of the block before (v1).
        pool_all_queries: Whether queries go through a convolution and a norm in each
            block (v2), or only where they are pooled (v1).
        pool_kernel: Extent of the convolutions that pool; None takes one frame, and
            rows and columns by the stride: one more, or no convolution for stride 1.
        residual_pool: Whether queries are added to what they gather (v2).
        classify: The class token, or the mean of the others.
    """

    depth: int
    doubles: tuple[int, ...]
    width: int = 96
    heads: int = 1
    frames: int = 16
    size: int = 224
    kv_stride: int = 8
    relative: bool = True
    widen_in_attention: bool = True
    pool_all_queries: bool = True
    pool_kernel: Extent | None = (3, 3, 3)
    residual_pool: bool = True
    classify: Literal["class", "mean"] = "class"

    @property
    def grid(self) -> Extent:
        """Tokens of the clips for which tables are made."""
        t, h, w = PATCH_STRIDE
        return self.frames // t, self.size // h, self.size // w

    def stages(self) -> tuple[Stage, ...]:
        """Returns what each block is made of."""
        times = [
            2 ** sum(i >= double for double in self.doubles)
            for i in range(self.depth + 1)
        ]
        times[-1] = times[-2]
        frames, size, _ = self.grid
        blocks = []
        for i, (now, then) in enumerate(itertools.pairwise(times)):
            stride = 2 if i in self.doubles else 1
            kv_stride = max(self.kv_stride // now, 1)
            farthest = max(size // stride, size // kv_stride)
            blocks.append(
                Stage(
                    name=f"scale{2 + sum(i >= d for d in self.doubles)}",
                    heads=self.heads * now,
                    width=self.width * now,
                    features=self.width * (now if self.widen_in_attention else then),
                    stride=stride,
                    kv_stride=kv_stride,
                    rows=(2 * frames - 1, 2 * farthest - 1),
                )
            )
            size //= stride
        return tuple(blocks)
