"""Check and unpack ImageNet's classification set of 2012; `--help` lists the options, datasets/README.md the layout."""

import sys

from detres.data.prepare import IMAGENET_ARCHIVES, main

if __name__ == "__main__":
    sys.exit(main(IMAGENET_ARCHIVES, "imagenet"))
