"""A version made of a trained model: exported, saved, and promoted if it is good enough."""
