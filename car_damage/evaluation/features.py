"""The effective dimension of pooled features."""

import numpy as np


def effective_dimension(features: np.ndarray) -> float:
    """The participation ratio of the covariance of features, float (n, d): from 1 to d.

    It is the square of the sum of the eigenvalues over the sum of their squares: d if the features
    vary by the same amount in all directions, 1 if they vary along one line. After long fine-tuning
    it is near 1 (neural collapse, Papyan et al. 2020, https://arxiv.org/abs/2008.08186). The
    features then contain the answer and nothing else, which leaves little for quantisation and the
    heatmap to work with. 0 if the features do not vary.
    """
    covariance = np.cov(np.asarray(features, np.float64), rowvar=False)
    total = float(np.trace(covariance))
    return total**2 / float(np.square(covariance).sum()) if total else 0.0
