"""The last layer of every model."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vidjax.typing import Endpoints, Logits


class Classifier(nn.Module):
    """A linear layer on each of N steps of a clip, and the mean of their scores.

    Steps are frames, segments or positions in time; one step is a plain classifier. The
    models name this layer "logits". Everything in it is float32.

    Attributes:
        num_classes: Number of classes K; 0 leaves the layer out.
        dropout_rate: Probability of dropping a unit of a step, in [0, 1).
        init_std: Standard deviation of the kernel at the start; MMAction2's heads have
            0.01 (init_std of I3DHead).
    """

    num_classes: int
    dropout_rate: float = 0.0
    init_std: float = 0.01

    @nn.compact
    def __call__(
        self, steps: Float[Array, "b n d"], *, train: bool = False
    ) -> tuple[Logits, Endpoints]:
        """Scores clips.

        Args:
            steps: Pooled features, [B, N, D].
            train: Whether to use dropout.

        Returns:
            Logits [B, K], the mean over the steps, float32 ([B, D], the mean of the
            steps, if `num_classes` is 0); and the endpoints "pooled" [B, D] and, with
            classes, "logits_per_step" [B, N, K].
        """
        steps = steps.astype(jnp.float32)
        pooled = jnp.mean(steps, axis=1)
        if not self.num_classes:
            return pooled, {"pooled": pooled}
        shape = (steps.shape[-1], self.num_classes)
        kernel = self.param("kernel", nn.initializers.normal(self.init_std), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.num_classes,))
        steps = nn.Dropout(self.dropout_rate, deterministic=not train)(steps)
        scores = steps @ kernel + bias.reshape(1, 1, -1)
        return jnp.mean(scores, axis=1), {"pooled": pooled, "logits_per_step": scores}
