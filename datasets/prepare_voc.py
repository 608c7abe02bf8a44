"""Check and unpack PASCAL VOC 2007 and 2012; `--help` lists the options, datasets/README.md the layout."""

import sys

from detres.data.prepare import VOC_ARCHIVES, main

if __name__ == "__main__":
    sys.exit(main(VOC_ARCHIVES, "voc"))
