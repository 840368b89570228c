"""Whether the photos that come in have changed: drift_check.py. Needs SciPy and scikit-learn."""
