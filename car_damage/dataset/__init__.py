"""Step 1: from folders of photos to checked, grouped, split arrays. No TensorFlow here."""
