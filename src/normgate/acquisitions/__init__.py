"""Acquisitions: imaging mass cytometry and stacks of embeddings, bound by marker."""
