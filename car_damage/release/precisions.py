"""The precisions of `model.tflite`. It imports no TensorFlow, so that `--help` can list them."""

PRECISIONS = ("int8", "float16", "float32")  # each one finer than the one before
