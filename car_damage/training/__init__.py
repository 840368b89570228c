"""Step 2: train a model on the arrays of step 1."""
