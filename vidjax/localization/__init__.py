"""Actions in untrimmed videos: when they start and end, and what they are."""

from vidjax.localization.annotations import Policy as Policy
from vidjax.localization.annotations import Segments as Segments
from vidjax.localization.annotations import read_ground_truth as read_ground_truth
from vidjax.localization.annotations import read_predictions as read_predictions
from vidjax.localization.annotations import write_predictions as write_predictions
from vidjax.localization.evaluation import TIOUS as TIOUS
from vidjax.localization.evaluation import DetectionResult as DetectionResult
from vidjax.localization.evaluation import evaluate as evaluate
from vidjax.localization.proposals import ProposalResult as ProposalResult
from vidjax.localization.proposals import evaluate_proposals as evaluate_proposals
