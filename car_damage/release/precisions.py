"""The precisions of `model.tflite`, in a module without TensorFlow, so that `--help` is fast."""

PRECISIONS = ("int8", "float16", "float32")  # from the coarsest to the finest
