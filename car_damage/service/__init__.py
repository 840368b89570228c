"""The service: photos come in over HTTP, answers go out. Flask, LiteRT and NumPy; no TensorFlow."""
