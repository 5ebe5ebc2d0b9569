"""The fusion family: diffusion models that fuse a CT and an MRI of one head."""
