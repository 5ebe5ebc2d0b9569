"""Work spread over many cores and machines: the only package that speaks Ray."""
