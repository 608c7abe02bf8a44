"""Check the archives of a public data set and unpack them where configs look; nothing is fetched unless asked.

  detres prepare voc --download                       PASCAL VOC 2007 and 2012, 2.9 GB
  detres prepare coco --from /archives                COCO 2017, 20 GB
  detres prepare coco_2014 --download                 COCO 2014 beside it, which the paper uses, 20 GB
  detres prepare imagenet --from /archives            ImageNet 2012, 155 GB, which image-net.org gives to accounts
  detres prepare imagenet --only val devkit           a part of it
  detres prepare cifar10 --mirror URL                 CIFAR-10, 170 MB, from elsewhere than its publisher

Sizes are checked, and MD5 sums where the publisher states them. Nothing is done twice: a download and an unpacking go
on where they stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", metavar="SET", help="coco, coco_2014, voc, imagenet or cifar10")
    parser.add_argument("--from", dest="source", default=".", metavar="DIR", help="where the archives are, or are put")
    parser.add_argument(
        "--to", metavar="DIR", help="default: the set's folder in the one that DETRES_DATASETS names, else in datasets/"
    )
    parser.add_argument("--download", action="store_true", help="fetch from the publisher what is missing")
    parser.add_argument("--mirror", metavar="URL", help="fetch URL/ARCHIVE instead")
    parser.add_argument("--no-checksum", action="store_true", help="check sizes alone; large archives take minutes")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="archives whose name contains one of these")


def run(arguments: argparse.Namespace) -> None:
    from detres.data.places import datasets_root
    from detres.data.prepare import find_public_set, prepare

    wanted = find_public_set(arguments.set)
    prepare(
        wanted.archives_named(arguments.only),
        Path(arguments.source),
        Path(arguments.to) if arguments.to else datasets_root() / wanted.folder,
        download=arguments.download,
        mirror=arguments.mirror,
        checksum=not arguments.no_checksum,
        say=print,
    )
