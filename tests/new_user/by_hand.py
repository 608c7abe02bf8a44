"""What waits for a new user with thirty photos, with all defaults, on this machine: minutes a stage, and mAP.

python -m tests.new_user.by_hand --form labelimg --time 6m
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.new_user.forms import FORMS
from tests.new_user.photos import draw_photos
from tests.new_user.whole_way import go, install


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=list(FORMS), default="labelimg", help="how the photos are labelled")
    parser.add_argument("--time", help="as train_det takes it; without it, as long as the recipe wants")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder for all that is made")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the training")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        base = arguments.keep or Path(passing)
        photos, empty = base / "photos", base / "work"
        empty.mkdir(parents=True)
        FORMS[arguments.form].write(photos, draw_photos(photos))
        (new,) = draw_photos(base / "new", count=1, seed=1)
        options = [*(["--time", arguments.time] if arguments.time else []), *arguments.overrides]
        way = go(install(base), empty, photos, base / "new" / new.file, options, stop_after=24 * 3600)
        told = next(stage.told for stage in way.stages if stage.command == "train_det")
        print(told.partition("the same again")[0])
        for stage in way.stages:
            print(f"{stage.command:<12} {stage.minutes:6.1f} min")
        (found,) = way.predictions
        print(f"mAP50 {100 * way.metrics['mAP50']:.1f} on val")
        there = ", ".join(sorted(thing.name for thing in new.things))
        print(f"new photo: {', '.join(sorted(found['names']))} found; {there} there")


if __name__ == "__main__":
    main()
