"""Incident fusion: CT in another range than MRI, and what it was blamed for."""
