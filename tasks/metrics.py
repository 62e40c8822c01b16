"""Metrics as local `evaluate.Metric` classes over scikit-learn: nothing is fetched from a hub."""

import datasets
import evaluate
from sklearn.metrics import accuracy_score, f1_score


class Classification(evaluate.Metric):
    """Accuracy and macro F1 of one label per text, fractions of 1.

    Macro F1 is the unweighted mean over the classes that occur among labels or predictions
    (`sklearn.metrics.f1_score`); a class never predicted counts 0.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="accuracy and macro F1",
            citation="",
            inputs_description="predictions and references: class indices",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0)),
        }
