"""Measures camera-counting models: an MLflow model evaluator plugin. It measures; it judges nothing.

mlflow.models.evaluate(
    model_uri, table, model_type="camera-counting", evaluators="camera-counting",
    evaluator_config={"clips": [...], "robustness": {}, "behaviour": {}},
)
"""

from counting_evaluator.baseline import CountBaseline, Moment
from counting_evaluator.behaviour import BehaviourConfig
from counting_evaluator.clip_count import ClipCount
from counting_evaluator.clip_truth import TrueClip, read_clip_truth
from counting_evaluator.comparison import compare_crossings, compare_pictures
from counting_evaluator.config import ClipTruth, EvaluatorConfig
from counting_evaluator.counting import best_confidence, count_errors
from counting_evaluator.errors import EvaluationError
from counting_evaluator.evaluator import MODEL_TYPE, CountingEvaluator
from counting_evaluator.lines import LineCount, compare_clip, compare_lines, line_errors
from counting_evaluator.paired_bootstrap import Difference, paired_difference
from counting_evaluator.passes import DetectionPass, detect_all
from counting_evaluator.robustness import RobustnessConfig
from counting_evaluator.truth import LabelledPicture, read_table

__all__ = [
    "MODEL_TYPE",
    "BehaviourConfig",
    "ClipCount",
    "ClipTruth",
    "CountBaseline",
    "CountingEvaluator",
    "DetectionPass",
    "Difference",
    "EvaluationError",
    "EvaluatorConfig",
    "LabelledPicture",
    "LineCount",
    "Moment",
    "RobustnessConfig",
    "TrueClip",
    "best_confidence",
    "compare_clip",
    "compare_crossings",
    "compare_lines",
    "compare_pictures",
    "count_errors",
    "detect_all",
    "line_errors",
    "paired_difference",
    "read_clip_truth",
    "read_table",
]
