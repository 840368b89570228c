"""Step 1: turn folders of photos into checked, grouped and split arrays, without TensorFlow."""
