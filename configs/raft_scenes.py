"""RAFT on scenes whose flow is known exactly, by the authors' recipe for FlyingChairs.

The scenes are drawn on the devices, so that training needs no data. They are textures
without occlusion: a start, and no replacement for FlyingChairs.

Paper: https://arxiv.org/abs/2003.12039
Recipe: train_standard.sh of princeton-vl/RAFT, stage "chairs": AdamW, one cycle,
    100,000 updates of ten pairs of 368 x 496 pixels; later stages add
    --model-args.freeze-norm True, --optim.learning-rate 1.25e-4 and --init.
Expect: not run yet at full length; docs/two_stream.md has what minutes of raft_tiny on
    a CPU give.
Run: vidjax train configs/raft_scenes.py --workdir runs/raft_scenes
"""

from vidjax.config import Config, DataConfig, OptimConfig, SyntheticConfig


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="raft_large",
        objective="flow",
        data=DataConfig(
            source="scenes",
            size=432,  # Ours: about as many pixels, in a square.
            batch_size=16,  # Ours: a multiple of eight devices; the authors' is ten.
            synthetic=SyntheticConfig(num_train=22_232, num_eval=640),  # As Chairs.
        ),
        optim=OptimConfig(
            name="adamw",
            learning_rate=4e-4,
            schedule="onecycle",
            warmup_steps=5_000,  # pct_start of the authors' OneCycleLR.
            weight_decay=1e-4,
            decay="all",
            clip_norm=1.0,
        ),
        steps=100_000,
        eval_every=5_000,
        save_every=5_000,
    )
