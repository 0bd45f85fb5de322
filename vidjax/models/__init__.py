"""The architectures, one file each, and the registry that names them."""

from vidjax.models.registry import create_model, list_models, model_card

__all__ = ["create_model", "list_models", "model_card"]
