"""Classes that COCO, VOC and ImageNet DET have in common under different names.

A table and nothing else decides: no spelling is guessed, and a name stands for one class of the other set at most.
"""

from __future__ import annotations

from collections.abc import Sequence

# The names COCO, VOC and ImageNet DET give a class, where they differ. Classes that only resemble each other are not
# here: COCO's dining table is VOC's diningtable, and DET's table any table.
SYNONYMS: tuple[frozenset[str], ...] = tuple(
    frozenset(names)
    for names in (
        ("airplane", "aeroplane"),
        ("motorcycle", "motorbike"),
        ("couch", "sofa"),
        ("dining table", "diningtable"),
        ("potted plant", "pottedplant"),
        ("tv", "tvmonitor", "tv or monitor"),
        ("cat", "domestic cat"),
        ("cow", "cattle"),
        ("hot dog", "hotdog"),
        ("hair drier", "hair dryer"),
        ("keyboard", "computer keyboard"),
        ("mouse", "computer mouse"),
        ("remote", "remote control"),
        ("skis", "ski"),
    )
)


def same_classes(wanted: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """The known name of every wanted class that has one: the same name, else its synonym.

    A synonym is taken only where it is the one candidate: it is nobody's own name among the wanted, no other known
    name means the same, and no other wanted one does. So no known class is taken twice.
    """
    same = {name: name for name in wanted if name in known}
    for group in SYNONYMS:
        asking = [name for name in wanted if name in group and name not in same]
        offered = [name for name in known if name in group and name not in same]
        if len(asking) == len(offered) == 1:
            same[asking[0]] = offered[0]
    return {name: same[name] for name in wanted if name in same}
