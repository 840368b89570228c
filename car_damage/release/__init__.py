"""Release a trained model as a version: export it, save it, promote it if it is good enough."""
