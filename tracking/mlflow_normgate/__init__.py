"""MLflow, only here: tracker, runs, bundles, evidence, and the gated store."""
