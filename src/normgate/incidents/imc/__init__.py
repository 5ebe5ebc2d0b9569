"""Incident imc: blurry reconstructions, and what sharpened them."""
