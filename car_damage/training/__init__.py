"""Step 2: from arrays to a measured, exported model."""
