"""One file per architecture; importing this package registers all of them."""

from vidjax.models import c3d as c3d
from vidjax.models import early_fusion as early_fusion
from vidjax.models import frame_average as frame_average
from vidjax.models import i3d as i3d
from vidjax.models import inception_v1 as inception_v1
from vidjax.models import resnet as resnet
from vidjax.models import tsm as tsm
from vidjax.models import tsn as tsn
from vidjax.models.registry import create_model, list_models, model_card

__all__ = ["create_model", "list_models", "model_card"]
