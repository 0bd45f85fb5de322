"""Actions in untrimmed videos: when they start and end, and what they are."""

from vidjax.localization.annotations import Policy as Policy
from vidjax.localization.annotations import Segments as Segments
from vidjax.localization.annotations import read_ground_truth as read_ground_truth
from vidjax.localization.annotations import read_predictions as read_predictions
from vidjax.localization.annotations import write_predictions as write_predictions
from vidjax.localization.detect import Segment as Segment
from vidjax.localization.detect import make_detector as make_detector
from vidjax.localization.detect import pad_features as pad_features
from vidjax.localization.detect import to_segments as to_segments
from vidjax.localization.evaluation import TIOUS as TIOUS
from vidjax.localization.evaluation import DetectionResult as DetectionResult
from vidjax.localization.evaluation import evaluate as evaluate
from vidjax.localization.fusion import fuse_predictions as fuse_predictions
from vidjax.localization.fusion import fuse_scores as fuse_scores
from vidjax.localization.fusion import read_score_labels as read_score_labels
from vidjax.localization.fusion import read_video_scores as read_video_scores
from vidjax.localization.presets import Preset as Preset
from vidjax.localization.presets import preset as preset
from vidjax.localization.proposals import ProposalResult as ProposalResult
from vidjax.localization.proposals import evaluate_proposals as evaluate_proposals
