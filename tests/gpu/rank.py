"""One rank of several: `rank.py gloo|own COMMAND …` runs a command of detres as torchrun would.

gloo: the ranks talk by way of the host, so that two of them may share a card, which nccl refuses. own: as detres itself
has it.
"""

from __future__ import annotations

import sys
from datetime import timedelta

import torch

from detres.commands.main import main

if __name__ == "__main__":
    backend, *command = sys.argv[1:]
    if backend == "gloo":
        torch.distributed.init_process_group("gloo", timeout=timedelta(minutes=2))
    sys.exit(main(command))
