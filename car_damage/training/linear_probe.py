"""Phase 1, the linear probe of LP-FT: a head fitted on the frozen backbone's features.

Fine-tuning from a random head first bends the backbone towards that head's noise; a fitted head
leaves it nothing to bend for (Kumar et al. 2022, arXiv:2202.10054). The features are computed once
and scikit-learn fits the head on them, which takes minutes where epochs over a frozen backbone
take tens of them.
"""

from dataclasses import dataclass

import keras
import numpy as np
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from car_damage.dataset.arrays import Dataset, Split
from car_damage.dataset.split import SPLITS
from car_damage.progress import meter
from car_damage.training.batches import PlainBatches
from car_damage.training.classifier import feature_extractor, set_head
from car_damage.training.sampling import sample_weights

# Of the standard deviation that the feature which varies most has: below it a feature has no say.
# A fine-tuned backbone leaves most features still. Scaled up to the others, one that lit up in a
# single photo gets a weight of thousands, and whatever lights it up again a sure answer.
MIN_STD = 0.01
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # of C, the inverse regularisation: features outnumber photos


@dataclass(frozen=True)
class Fitted:
    """What phase 1 found out."""

    loss: float  # nats, on the validation photos, weighed as for training
    probe: Pipeline  # selects features, scales them, then classifies
    features: dict[str, np.ndarray]  # of each split's images as they are, float32 (n, d)


def fit_head(model: keras.Model, dataset: Dataset, batch_size: int) -> Fitted:
    """Fit the head of `model` in place."""
    extractor = feature_extractor(model)
    features = {
        name: _features(extractor, getattr(dataset, name), batch_size, f"features for {name}")
        for name in SPLITS
    }
    train, weights = features["train"], sample_weights(dataset.train)
    least = MIN_STD * float(train.std(axis=0).max())
    probes = [
        make_pipeline(
            VarianceThreshold(least**2),
            StandardScaler(),
            LogisticRegression(C=strength, max_iter=2000),
        ).fit(train, dataset.train.y, logisticregression__sample_weight=weights)
        for strength in STRENGTHS
    ]
    losses = [_loss(probe, features["val"], dataset.val) for probe in probes]
    best = int(np.argmin(losses))
    set_head(model, *_folded(*(step for _, step in probes[best].steps)))
    return Fitted(losses[best], probes[best], features)


def _features(extractor: keras.Model, split: Split, batch_size: int, what: str) -> np.ndarray:
    batches = PlainBatches(split, batch_size)
    with meter(what, len(batches), "batch") as advance:
        show = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: advance())
        return np.asarray(extractor.predict(batches, verbose=0, callbacks=[show]))


def _loss(probe: Pipeline, features: np.ndarray, split: Split) -> float:
    likely = probe.predict_proba(features)[:, 1]
    return float(log_loss(split.y, likely, sample_weight=sample_weights(split)))


def _folded(
    selector: VarianceThreshold, scaler: StandardScaler, classifier: LogisticRegression
) -> tuple[np.ndarray, float]:
    """The kernel (d,) and bias that act on raw features as the three do together."""
    of_selected = classifier.coef_[0] / scaler.scale_
    kernel = selector.inverse_transform(of_selected[np.newaxis])[0]  # 0 for the others
    return kernel, float(classifier.intercept_[0] - of_selected @ scaler.mean_)
