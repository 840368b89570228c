"""Phase 1 of LP-FT, the linear probe: fit the head on the frozen backbone's features.

Fine-tuning from a random head would first distort the features of the backbone. A fitted head
prevents that (Kumar et al. 2022, arXiv:2202.10054). The features are computed once, and
scikit-learn fits the head on them. This takes minutes; epochs over a frozen backbone would take
ten times as long.
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

# A share of the largest standard deviation of any feature. Features below it are not used. In a
# fine-tuned backbone most features hardly vary. Scaled like the others, a feature that was active
# in a single photo would get a weight of thousands, and make any photo that activates it certain.
MIN_STD = 0.01
# Values of C, the inverse regularisation. They are small because features outnumber photos.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Fitted:
    """The result of phase 1."""

    loss: float  # nats, on the validation photos, weighted as in training
    probe: Pipeline  # selects features, scales them, then classifies
    features: dict[str, np.ndarray]  # of each split's images, not augmented: float32 (n, d)


def fit_head(model: keras.Model, dataset: Dataset, batch_size: int) -> Fitted:
    """Fit the head of `model` in place, and choose its regularisation on validation photos."""
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
    """Combine the three steps into a kernel (d,) and a bias for raw features."""
    of_selected = classifier.coef_[0] / scaler.scale_
    kernel = selector.inverse_transform(of_selected[np.newaxis])[0]  # 0 for unselected ones
    return kernel, float(classifier.intercept_[0] - of_selected @ scaler.mean_)
