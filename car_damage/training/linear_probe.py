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
from car_damage.training.batches import AugmentedBatches, PlainBatches, class_weights
from car_damage.training.classifier import feature_extractor, set_head

VIEWS = 1  # augmented views of each photo beside the photo itself: each costs a pass over all
# Of the standard deviation that the feature which varies most has: below it a feature has no say.
# A fine-tuned backbone leaves most features still. Scaled up to the others, one that lit up in a
# single photo gets a weight of thousands, and whatever lights it up again a sure answer.
MIN_STD = 0.01
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # of C, the inverse regularisation: features outnumber photos


@dataclass(frozen=True)
class Fitted:
    """What phase 1 found out."""

    loss: float  # nats, on the validation photos, both classes weighing alike
    probe: Pipeline  # selects features, scales them, then classifies
    features: dict[str, np.ndarray]  # float32 (n, d): `plain_features` of each split


def fit_head(model: keras.Model, dataset: Dataset, batch_size: int, seed: int) -> Fitted:
    """Fit the head of `model` in place."""
    plain = {name: plain_features(model, getattr(dataset, name), batch_size) for name in SPLITS}
    features, labels = _training_features(model, plain["train"], dataset.train, batch_size, seed)
    least = MIN_STD * float(features.std(axis=0).max())
    probes = [_probe(strength, least).fit(features, labels) for strength in STRENGTHS]
    losses = [_loss(probe, plain["val"], dataset.val.y) for probe in probes]
    best = int(np.argmin(losses))
    set_head(model, *_folded(*(step for _, step in probes[best].steps)))
    return Fitted(losses[best], probes[best], plain)


def plain_features(model: keras.Model, split: Split, batch_size: int) -> np.ndarray:
    """The pooled features of a split's images as they are, in their order: float32 (n, d)."""
    features: np.ndarray = feature_extractor(model).predict(PlainBatches(split, batch_size))
    return features


def _training_features(
    model: keras.Model, plain: np.ndarray, train: Split, batch_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    extractor = feature_extractor(model)
    features, labels = [plain], [train.y]
    for view in range(VIEWS):
        batches = AugmentedBatches(train, batch_size, seed)
        batches.skip_to(view)
        labels.append(train.y[batches.order])
        features.append(extractor.predict(batches))
    return np.concatenate(features), np.concatenate(labels)


def _probe(strength: float, least: float) -> Pipeline:
    classifier = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    return make_pipeline(VarianceThreshold(least**2), StandardScaler(), classifier)


def _loss(probe: Pipeline, features: np.ndarray, labels: np.ndarray) -> float:
    likely = probe.predict_proba(features)[:, 1]
    return float(log_loss(labels, likely, sample_weight=class_weights(labels)))


def _folded(
    selector: VarianceThreshold, scaler: StandardScaler, classifier: LogisticRegression
) -> tuple[np.ndarray, float]:
    """The kernel (d,) and bias that act on raw features as the three do together."""
    of_selected = classifier.coef_[0] / scaler.scale_
    kernel = selector.inverse_transform(of_selected[np.newaxis])[0]  # 0 for the others
    return kernel, float(classifier.intercept_[0] - of_selected @ scaler.mean_)
