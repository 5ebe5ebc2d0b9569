"""Fitting a family's task, and the bundle that a fitted model is. Speaks torch.

`task` is the port that a family implements, `loop.fit` trains through it and survives
kills, `bundle` writes and reads what a trained model is. No family is known here.
"""
