"""What every rank does in test_evaluation_ranks.py: python evaluation_ranks.py RUN OUT SET, begun as by torchrun."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from detres.tasks.evaluation import evaluate

run, out, root = sys.argv[1:]
torch.set_num_threads(1)
evaluate(run, out=Path(out), device="cpu", overrides=[f"data.root={root}", "test.score=0.01", "test.batch=8"])
