"""The HTTP service that classifies photos, with Flask, LiteRT and NumPy but without TensorFlow."""
