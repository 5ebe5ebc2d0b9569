"""Training: the loop, its checkpoints, and the bundle that comes out of it."""
