"""Phase 1, the linear probe of LP-FT: a head fitted on the frozen backbone's features.

Fine-tuning from a random head first bends the backbone towards that head's noise; a fitted head
leaves it nothing to bend for (Kumar et al. 2022, arXiv:2202.10054). The features are computed once
and scikit-learn fits the head on them, which takes minutes where epochs over a frozen backbone
take tens of them.
"""

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from car_damage.dataset.arrays import Dataset, Split
from car_damage.training.batches import AugmentedBatches, PlainBatches, class_weights
from car_damage.training.model import feature_extractor, set_head

VIEWS = 1  # augmented views of each photo beside the photo itself: each costs a pass over all
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # of C, the inverse regularisation: features outnumber photos


def fit_head(model: keras.Model, dataset: Dataset, batch_size: int, seed: int) -> float:
    """Fit the head of `model` in place; return the validation log loss (nats, classes alike)."""
    extractor = feature_extractor(model)
    features, labels = _training_features(extractor, dataset.train, batch_size, seed)
    val_features = extractor.predict(PlainBatches(dataset.val, batch_size))
    best_loss, best = np.inf, None
    for strength in STRENGTHS:
        classifier = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
        probe = make_pipeline(StandardScaler(), classifier).fit(features, labels)
        probabilities = probe.predict_proba(val_features)[:, 1]
        weights = class_weights(dataset.val.y)
        loss = log_loss(dataset.val.y, probabilities, sample_weight=weights)
        if loss < best_loss:
            best_loss, best = loss, probe
    set_head(model, *_folded(*(step for _, step in best.steps)))
    return best_loss


def _training_features(
    extractor: keras.Model, train: Split, batch_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    features = [extractor.predict(PlainBatches(train, batch_size))]
    labels = [train.y]
    for view in range(VIEWS):
        batches = AugmentedBatches(train, batch_size, seed)
        batches.skip_to(view)
        labels.append(train.y[batches.order])
        features.append(extractor.predict(batches))
    return np.concatenate(features), np.concatenate(labels)


def _folded(scaler: StandardScaler, classifier: LogisticRegression) -> tuple[np.ndarray, float]:
    """The kernel (d,) and bias that act on raw features as scaler and classifier do together."""
    kernel = classifier.coef_[0] / scaler.scale_
    return kernel, float(classifier.intercept_[0] - kernel @ scaler.mean_)
