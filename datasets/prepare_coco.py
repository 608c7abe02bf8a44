"""Check and unpack COCO 2017; `--help` lists the options, datasets/README.md the layout."""

import sys

from detres.data.prepare import COCO_ARCHIVES, main

if __name__ == "__main__":
    sys.exit(main(COCO_ARCHIVES, "coco"))
