"""Plates: from image folders to plate tables, units, predictions and figures."""
