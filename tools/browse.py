"""The same as `detres browse`; runs from a clone, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detres.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["browse", *sys.argv[1:]]))
