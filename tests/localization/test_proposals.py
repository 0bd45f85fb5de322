"""AR@AN and its area are those of the official evaluator."""

import json
import pathlib

import numpy as np
import pytest

from vidjax.localization import evaluate_proposals, read_predictions

CASE = pathlib.Path(__file__).parent / "cases" / "activitynet.json"


@pytest.mark.parametrize("number", [10, 100])
def test_the_official_curve_comes_out(number):
    case = json.loads(CASE.read_text())
    theirs = case["expected"]["proposals"][str(number)]
    result = evaluate_proposals(
        case["predictions"], case["ground_truth"], max_proposals=number
    )
    ours = result.average_recall[9::10]
    np.testing.assert_allclose(ours, theirs["average_recall"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.proposals[9::10], theirs["proposals"], rtol=1e-12)
    assert abs(result.auc - theirs["auc"]) < 1e-12
    assert result.at(result.proposals[-1]) == result.average_recall[-1]


def test_proposals_need_ground_truth_and_videos_in_common():
    truth = {"v": {"annotations": [{"label": "a", "segment": [0, 1]}]}}
    with pytest.raises(ValueError, match="No video"):
        evaluate_proposals(read_predictions({"results": {}}), truth)
    with pytest.raises(ValueError, match="no ground truth"):
        evaluate_proposals({"results": {}}, {"v": {"annotations": []}})
