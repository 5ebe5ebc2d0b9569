"""Promoted models over plates: one pass, resumable, every row stamped.

`prepare` verifies the models for the plates at hand, `deploy` predicts: threads read
and normalize ahead of the models, and shards are written whole (`shards`, `job`).
What can't be read stands in `quarantine`.
"""

from normgate.deploy.models import Member, Model, Promoted
from normgate.deploy.pipeline import deploy
from normgate.deploy.prepare import prepare
from normgate.deploy.report import Report
from normgate.deploy.settings import DeploySettings

__all__ = [
    "DeploySettings",
    "Member",
    "Model",
    "Promoted",
    "Report",
    "deploy",
    "prepare",
]
