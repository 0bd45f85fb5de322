"""Learning rates by depth: less for the first blocks of a pre-trained transformer.

References:
    Clark et al., "ELECTRA", ICLR 2020, https://arxiv.org/abs/2003.10555, Appendix A;
    Bao et al., "BEiT: BERT Pre-Training of Image Transformers", ICLR 2022,
    https://arxiv.org/abs/2106.08254, Appendix H, whose layers VideoMAE takes over;
    Liu et al., "Video Swin Transformer", CVPR 2022, https://arxiv.org/abs/2106.13230,
    Sec. 4.1, for a smaller rate of everything but the classifier.
"""

import re
from typing import Any

import jax

# "blocks_3", "layer2_0", "blocks1_0_pos_embed", and a second stack behind the first.
_BLOCK = re.compile(r"(time_)?(?:blocks|layer)(\d*)_(\d+)(_pos_embed)?")
_EMBEDDINGS = re.compile(
    r"patch_(embed|norm)|patch_embed1_\w+|(time_|pos_|cls_pos_)embed|(time_)?cls_token"
)
# Between two stages; the stage that it follows, or the one that it leads to.
_AFTER_STAGE = re.compile(r"merge(\d+)")
_BEFORE_STAGE = re.compile(r"patch_embed(\d+)_\w+")
_HEAD = "logits"


def layer_ids(params: Any) -> tuple[Any, int]:
    """Returns the layer of each parameter of a transformer.

    Embeddings, tokens and tables of positions are layer 0, the L blocks are 1 to L in
    their order (those over time come last, where there are two encoders), and what is
    behind them, the classifier and the norm before it, is L + 1. What leads from one
    stage to the next belongs to the last block of the first.

    Args:
        params: A tree of parameters, by the names that vidjax gives them.

    Returns:
        The same tree with an integer for each array, and L.

    Raises:
        ValueError: If there are no blocks, as in a convolutional network.

    Example:
        >>> tree = {"patch_embed": 0, "blocks_0": 0, "blocks_1": 0, "logits": 0}
        >>> layer_ids(tree)
        ({'blocks_0': 1, 'blocks_1': 2, 'logits': 3, 'patch_embed': 0}, 2)
    """
    found = {_block(name) for name in params} - {None}
    if not found:
        raise ValueError(
            "optim.layer_decay is for transformers: expected parameters of blocks "
            f'(such as "blocks_0"), got {", ".join(sorted(params))}.'
        )
    blocks = sorted(key for key in found if key is not None)
    names = {name: _layer(name, blocks) for name in params}
    ids = jax.tree_util.tree_map_with_path(lambda path, _: names[path[0].key], params)
    return ids, len(blocks)


def rate_factors(params: Any, *, layer_decay: float, backbone_rate: float) -> Any:
    """Returns the factor of each parameter's learning rate.

    That of layer i of L + 1 is layer_decay ** (L + 1 - i), times `backbone_rate` for
    all but the classifier.

    Args:
        params: A tree of parameters.
        layer_decay: Factor from a layer to the one before it; 1 is for any network.
        backbone_rate: Factor of everything but the classifier.

    Returns:
        The same tree with a number for each array.

    Raises:
        ValueError: If `layer_decay` is not 1 and there are no blocks.

    Example:
        >>> tree = {"patch_embed": 0, "blocks_0": 0, "logits": 0}
        >>> rate_factors(tree, layer_decay=0.5, backbone_rate=1.0)
        {'blocks_0': 0.5, 'logits': 1.0, 'patch_embed': 0.25}
    """
    factors = jax.tree_util.tree_map_with_path(
        lambda path, _: 1.0 if path[0].key == _HEAD else backbone_rate, params
    )
    if layer_decay == 1.0:
        return factors
    ids, depth = layer_ids(params)
    return jax.tree.map(lambda f, i: f * layer_decay ** (depth + 1 - i), factors, ids)


def _block(name: str) -> tuple[bool, int, int] | None:
    """Where a block stands: (over time, stage, number)."""
    match = _BLOCK.fullmatch(name)
    if match is None:
        return None
    return bool(match[1]), int(match[2] or 0), int(match[3])


def _layer(name: str, blocks: list[tuple[bool, int, int]]) -> int:
    block = _block(name)
    if block is not None:
        return blocks.index(block) + 1
    if _EMBEDDINGS.fullmatch(name):
        return 0
    after, before = _AFTER_STAGE.fullmatch(name), _BEFORE_STAGE.fullmatch(name)
    if after or before:
        stage = int(after[1]) if after else int(before[1]) - 1 if before else 0
        return sum(block[1] <= stage for block in blocks)
    return len(blocks) + 1
