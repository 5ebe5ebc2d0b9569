"""Incident rescue: two normalizations of one name, in training and deployment."""
