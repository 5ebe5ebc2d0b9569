"""A timm backbone, in an environment that has the extra [timm]."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TRY = """
import torch
from normgate.families.plate.model import build
from normgate.families.plate.settings import ModelSettings
network = build(ModelSettings(backbone="timm:resnet18"), 6, 2)
print(tuple(network(torch.zeros(2, 6, 64, 64)).shape))
"""


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *words]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_timm_backbone_takes_six_channels(tmp_path: Path) -> None:
    """Beside the installed torch, whose build the torchvision wheel need not fit."""
    pip("--target", str(tmp_path), "huggingface_hub", "pyyaml")
    pip(
        "--target",
        str(tmp_path),
        "--no-deps",
        "timm>=1.0,<2",
        "torchvision>=0.28,<0.29",
    )
    path = os.pathsep.join([str(ROOT / "src"), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(2, 2)"
