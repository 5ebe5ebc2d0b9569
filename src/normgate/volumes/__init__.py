"""Volumes: paired CT and MRI of the head as arrays in patient space."""
