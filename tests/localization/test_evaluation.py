"""mAP and recall are those of the published code, and policies do what they say."""

import functools
import json
import pathlib

import numpy as np
import pytest

from vidjax.localization import evaluate, read_predictions, write_predictions
from vidjax.localization.annotations import make_segments

CASES = pathlib.Path(__file__).parent / "cases"


@functools.cache
def _case():
    case = json.loads((CASES / "detections.json").read_text())
    results = {}
    for video, start, end, label, score in case["predictions"]["rows"]:
        row = {"segment": [start, end], "label": label, "score": score}
        results.setdefault(video, []).append(row)
    return case["ground_truth"], {"results": results}, case["expected"]


@pytest.mark.parametrize("policy", ["default", "actionformer"])
@pytest.mark.parametrize("name", ["thumos_test", "anet_all", "epic_all"])
def test_the_published_figures_come_out(name, policy):
    truth, predictions, expected = _case()
    theirs = expected[name]
    result = evaluate(
        predictions,
        truth,
        tious=theirs["tiou_thresholds"],
        policy=policy,
        subset=theirs["split"],
    )
    assert result.classes == tuple(theirs["class_ids"])
    assert result.num_truth == theirs["num_gt_after_dedup"]
    assert result.num_predictions == theirs["num_pred_given"]
    np.testing.assert_allclose(result.ap, theirs["ap_per_class"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.map, theirs["mAP"], rtol=0, atol=1e-12)
    assert abs(result.average_map - theirs["average_mAP"]) < 1e-12
    recall = [result.recall[k].mean(axis=1) for k in (1, 5)]
    np.testing.assert_allclose(
        np.stack(recall, 1), theirs["mRecall_top1x_top5x"], rtol=0, atol=1e-12
    )


def test_the_official_evaluator_gives_the_same():
    case = json.loads((CASES / "activitynet.json").read_text())
    theirs = case["expected"]["detection"]
    result = evaluate(
        case["predictions"],
        case["ground_truth"],
        tious="activitynet",
        policy="official",
        subset="validation",
    )
    columns = [theirs["index"][name] for name in result.classes]
    ap = np.array(theirs["ap"])[:, columns]
    np.testing.assert_allclose(result.ap, ap, rtol=0, atol=1e-12)


def _truth(*rows):
    """Ground truth of one video from (label, start, end) rows."""
    return {
        "v": {
            "subset": "Test",
            "annotations": [
                {"label": f"c{label}", "label_id": label, "segment": [start, end]}
                for label, start, end in rows
            ],
        }
    }


def _found(*rows):
    """Predictions in one video from (label, start, end, score) rows."""
    return {
        "v": [
            {"label": label, "segment": [start, end], "score": score}
            for label, start, end, score in rows
        ]
    }


def test_policies_leave_out_what_they_say():
    truth = _truth((0, 0, 10), (0, 0.0005, 10), (0, 20, 20), (0, 30, 30.0005))
    found = _found((0, 0, 10, 0.9))
    policies = ("default", "official", "actionformer", "opentad")
    counts = [evaluate(found, truth, policy=p).num_truth for p in policies]
    assert counts == [1, 4, 1, 2]
    assert evaluate(found, truth, policy="official").average_map == 0.25


def test_a_label_without_ground_truth_is_ignored_an_error_or_another_class():
    # Number 1 has no ground truth, and is the place of number 2 among the classes.
    truth = _truth((0, 0, 10), (2, 20, 30))
    found = _found((0, 0, 10, 0.5), (2, 20, 30, 0.5), (1, 40, 50, 0.9))
    for policy in ("default", "opentad"):
        assert evaluate(found, truth, policy=policy).average_map == 1.0
    assert evaluate(found, truth, policy="actionformer").average_map == 0.75
    with pytest.raises(ValueError, match="1 predicted labels have no ground truth: 1"):
        evaluate(found, truth, policy="official")


def test_of_equal_scores_the_first_goes_first_and_in_published_code_the_last():
    truth = _truth((0, 0, 10))
    found = _found((0, 0, 10, 0.5), (0, 50, 60, 0.5))
    assert evaluate(found, truth).average_map == 1.0
    assert evaluate(found, truth, policy="opentad").average_map == 0.5


def test_a_second_prediction_takes_the_second_best_ground_truth():
    truth = _truth((0, 0, 10), (0, 1, 11))
    found = _found((0, 0, 10, 0.9), (0, 0, 10, 0.8))
    assert evaluate(found, truth, tious=[0.5]).average_map == 1.0
    assert evaluate(found, truth, tious=[0.9]).average_map == 0.5


def test_classes_without_predictions_count_as_zero():
    assert evaluate(_found((0, 0, 1, 1.0)), _truth((0, 0, 1), (1, 2, 3))).map[0] == 0.5
    empty = evaluate({"results": {}}, _truth((0, 0, 1)))
    assert empty.average_map == 0
    assert empty.recall[5].sum() == 0


def test_names_and_numbers_of_classes_are_matched_alike():
    truth = _truth((4, 0, 10), (7, 20, 30))
    numbers, names = (
        evaluate(_found((a, 0, 10, 0.9), (b, 20, 31, 0.8)), truth, tious=[0.5, 0.95])
        for a, b in ((4, 7), ("c4", "c7"))
    )
    np.testing.assert_array_equal(numbers.ap, names.ap)
    assert numbers.classes == (4, 7)
    assert names.classes == ("c4", "c7")
    assert names.to_dict()["map"] == {"0.50": 1.0, "0.95": 0.5}
    assert names.to_dict()["policy"] == "default"


def test_blocked_videos_count_in_nothing():
    truth, predictions, _ = _case()
    blocked = ["vid_000", "vid_001"]
    left = {v: x for v, x in truth["database"].items() if v not in blocked}
    some = {v: x for v, x in predictions["results"].items() if v not in blocked}
    np.testing.assert_array_equal(
        evaluate(predictions, truth, blocked=blocked).ap, evaluate(some, left).ap
    )


def test_json_goes_out_and_in_again(tmp_path):
    _, predictions, _ = _case()
    path = tmp_path / "found.json"
    before = read_predictions(predictions)
    write_predictions(path, before)
    after = read_predictions(path)
    assert set(json.loads(path.read_text())) == {"version", "results", "external_data"}
    for name in ("videos", "start", "end", "labels", "scores"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def _ground_truth_in(path, data):
    path.write_text(json.dumps(data))
    return path


def test_files_that_are_not_as_they_should_be_are_refused(tmp_path):
    truth, found = _truth((0, 0, 1)), _found((0, 0, 1, 1.0))
    path = tmp_path / "x.json"
    path.write_text("{")
    for wrong, message in (
        (path, "is not JSON"),
        (tmp_path / "none.json", "no file"),
        ({"results": [1]}, "to map videos"),
        ({"v": [{"label": "a", "score": 1.0}]}, "no 'segment'"),
        ({"v": [{"label": 0, "score": 1.0, "segment": [1]}]}, r"Expected \[start, end"),
        (_found((0, 2, 1, 1.0)), "end before they start"),
        (_found((0, 0, 1, float("nan"))), "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(wrong, truth)
    for arguments, message in (
        ({"tious": "thumos"}, "thumos14"),
        ({"tious": [0.0]}, r"\(0, 1\]"),
        ({"subset": "train"}, "only Test"),
        ({"recall": [0]}, "positive"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(found, truth, **arguments)
    with pytest.raises(ValueError, match="no ground truth"):
        evaluate(found, {"v": {"annotations": []}})
    with pytest.raises(ValueError, match="Expected an object"):
        evaluate(found, _ground_truth_in(path, [1]))


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="'opentad'"):
        evaluate(_found((0, 0, 1, 1.0)), _truth((0, 0, 1)), policy="strict")


def test_no_segments_are_a_table_too():
    assert len(make_segments([])) == 0
