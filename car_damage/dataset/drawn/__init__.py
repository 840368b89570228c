"""What the sample photos are drawn with: a canvas, a car, the scene round it, and damage."""
