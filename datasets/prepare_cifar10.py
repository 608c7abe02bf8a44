"""Check and unpack CIFAR-10; `--help` lists the options, datasets/README.md the layout."""

import sys

from detres.data.prepare import CIFAR10_ARCHIVES, main

if __name__ == "__main__":
    sys.exit(main(CIFAR10_ARCHIVES, "cifar10"))
