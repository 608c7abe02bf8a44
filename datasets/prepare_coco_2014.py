"""Check and unpack COCO 2014 beside COCO 2017; `--help` lists the options, datasets/README.md the layout."""

import sys

from detres.data.prepare import COCO_2014_ARCHIVES, main

if __name__ == "__main__":
    sys.exit(main(COCO_2014_ARCHIVES, "coco"))
