"""normgate: image normalization as a contract, from the pixels to the registry.

The folder list is the architecture, and imports go down only: `errors`; `contract`
and `tracker`; `transform` and `gate`; `plates`; `engine`; `families`; `deploy`.
MLflow is spoken only by the sibling package `mlflow_normgate`.
"""
