"""Drawing of sample photos: the canvas, the scene, a car and damage."""
