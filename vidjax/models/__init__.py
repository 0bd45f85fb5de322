"""One file per architecture; importing this package registers all of them."""

from vidjax.models import actionformer as actionformer
from vidjax.models import bmn as bmn
from vidjax.models import c2d as c2d
from vidjax.models import c3d as c3d
from vidjax.models import conv_fusion as conv_fusion
from vidjax.models import csn as csn
from vidjax.models import early_fusion as early_fusion
from vidjax.models import efficientnet_lite0 as efficientnet_lite0
from vidjax.models import frame_average as frame_average
from vidjax.models import i3d as i3d
from vidjax.models import i3d_resnet as i3d_resnet
from vidjax.models import inception_v1 as inception_v1
from vidjax.models import mobilenet_v2 as mobilenet_v2
from vidjax.models import mvit as mvit
from vidjax.models import r2plus1d as r2plus1d
from vidjax.models import r3d as r3d
from vidjax.models import raft as raft
from vidjax.models import resnet as resnet
from vidjax.models import s3d as s3d
from vidjax.models import slow as slow
from vidjax.models import slowfast as slowfast
from vidjax.models import slowfast_mmaction2 as slowfast_mmaction2
from vidjax.models import timesformer as timesformer
from vidjax.models import tridet as tridet
from vidjax.models import tsm as tsm
from vidjax.models import tsm_online as tsm_online
from vidjax.models import tsn as tsn
from vidjax.models import two_stream as two_stream
from vidjax.models import uniformer as uniformer
from vidjax.models import video_swin as video_swin
from vidjax.models import videomae as videomae
from vidjax.models import videomae_pretrain as videomae_pretrain
from vidjax.models import videoprism as videoprism
from vidjax.models import vit as vit
from vidjax.models import vivit as vivit
from vidjax.models import vjepa2 as vjepa2
from vidjax.models import x3d as x3d
from vidjax.models.registry import clip_spec, create_model, list_models, model_card

__all__ = ["clip_spec", "create_model", "list_models", "model_card"]
