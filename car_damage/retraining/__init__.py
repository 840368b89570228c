"""Photos that people have labelled become training photos: what retrain.py does before step 1."""
