"""Batch prediction: photos of folders, lists and buckets, in blocks, on one or many machines."""
