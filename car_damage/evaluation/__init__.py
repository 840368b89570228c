"""How good a model is: predictions, calibration, metrics, robustness, held-out sources."""
