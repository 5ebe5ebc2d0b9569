"""Applying, fitting and comparing specs on arrays; import from the modules."""
