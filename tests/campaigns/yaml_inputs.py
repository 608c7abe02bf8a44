"""Text that nobody should have written, made from a seed: our yaml, others' data.yaml, configs, overrides, names."""

from __future__ import annotations

from random import Random

from tests.campaigns.spoiling import damage


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS = _words(
    "format root train val test classes val_fraction names nc path augment strict model data training optimizer "
    "schedule backbone name lr steps batch milestones task recipe shortest_side exif workers images download << "
    "layout weights = y"
)

# What a value may be: of every kind that yaml knows, and a few that it does not.
_PLAIN = _words(
    "coco voc yolo folder webdataset imagenet cifar10 shapes detection classification 1 0 -1 1e-3 1e999 .inf -.inf "
    ".nan 1:59:59 010 true no null ~ 2020-13-45 2020-01-01 '' a.tar a-{0..3}.tar {0..99999999999} '../../x' "
    "/etc/passwd '~nobody/x' '~' images/train . .. [[[[1]]]] *a &b *b # --- ... @ ` ' \" 犬 Löwe"
)
_NUMBERS = ("9" * 30, "9" * 5000, "0x" + "f" * 40)
_TEXTS = ('"\\0"', '"\\ud800"', '"\\U0010ffff"', "'a\n\n b'", "x" * 300, "x" * 3000, "|\n  x", ">\n  y", "%YAML 9.9")
_LETTERS = ("\u2028", "\x85", "\ufeff", "\x00", "\x1b", "\t")
_TAGS = ("!!binary xx", "!!set {a}", "!x y", "!!timestamp 3", "!!int x", "&a [*a]", "&b x", "? [a]", "{[1]: 2}")
_DEEP = ("[" * 80, "{a: " * 80, "- " * 80, "{" * 50, "{a,b}" * 30)
# What would leave a file called CANARY, and be heard, if it were run.
_PROGRAMS = (
    "'pipe:touch CANARY'",
    "'{p,q}ipe:touch CANARY'",
    "'a::pipe:touch CANARY'",
    "'https://h/a.tar'",
    "'https://h/$(touch CANARY)'",
    "'gs://b/a.tar'",
    "'s3://b/c'",
    "!!python/object/apply:os.system ['touch CANARY']",
    "{'os:system': {command: touch CANARY}}",
    "{OneOf: {transforms: [{'os:system': {command: touch CANARY}}]}}",
)
ATOMS = (*_PLAIN, *_NUMBERS, *_TEXTS, *_LETTERS, *_TAGS, *_DEEP, *_PROGRAMS)

_SOUND_CONFIG = (
    "model: {layout: fpn}",
    "training: {steps: 10, batch: 4}",
    "optimizer: {lr: 0.02}",
    "test: {score: 0.5}",
    "schedule: {milestones: [5, 8]}",
    "task: detection",
    "data: {format: coco, root: x, train: a.json:b}",
    "recipe: r",
)
_SOUND_DATA = ("format: webdataset", "root: .", "train: 'a-{0..3}.tar'", "val: b.tar", "classes: [a, b]", "images: 10")
_SOUND_SET = ("format: coco", "format: webdataset", "names: [a, b]", "train: images", "root: .")
_OVERRIDDEN = _words(
    "training.batch training.steps optimizer.lr schedule.milestones data.train data.root task model.backbone.name "
    "data.augment . model test.scales data.classes"
)
_SHARD_PIECES = _words("a { } , .. 0 9 {0..9} {a..z} {a,b} :: \\ pipe: https:// {0..9..0}")
_NAME_LETTERS = 'ab./\\\0\n:*?"<>|~ 犬é\u0301\ud800\udc80\u202e-_CONnul1'


def value(rng: Random, depth: int = 0) -> str:
    kind = rng.random()
    if depth > 3 or kind < 0.6:
        return rng.choice(ATOMS)
    if kind < 0.8:
        return "[" + ", ".join(value(rng, depth + 1) for _ in range(rng.randrange(5))) + "]"
    return "{" + ", ".join(f"{key(rng)}: {value(rng, depth + 1)}" for _ in range(rng.randrange(4))) + "}"


def key(rng: Random) -> str:
    return rng.choice(WORDS) if rng.random() < 0.9 else rng.choice(ATOMS)


def config(rng: Random) -> bytes:
    return _as_saved(rng, rng.choice([_lines, lambda rng: _almost_sound(rng, _SOUND_CONFIG)])(rng))


def data_file(rng: Random) -> bytes:
    return _as_saved(rng, rng.choice([_lines, lambda rng: _almost_sound(rng, _SOUND_DATA)])(rng))


def class_list(rng: Random) -> bytes:
    return _as_saved(rng, "cat\ndog\n")


def overrides(rng: Random) -> list[str]:
    """One to three of key=value, each a little off."""
    keys = (*_OVERRIDDEN, "a." * 400 + "b", "")
    values = [rng.choice(["=", "=", "=", "==", "", " = "]) + value(rng) for _ in range(rng.randrange(1, 4))]
    return [(rng.choice(keys) if rng.random() < 0.8 else key(rng)) + text for text in values]


def shard_names(rng: Random) -> str:
    return "".join(rng.choices(_SHARD_PIECES, k=rng.randrange(40)))


def names(rng: Random) -> list[str]:
    """Names that are to become names of files."""
    lengths = (0, 1, 2, 3, 8, 300)
    return ["".join(rng.choices(_NAME_LETTERS, k=rng.choice(lengths))) for _ in range(rng.randrange(12))]


def augmentation(rng: Random) -> object:
    """An entry of data.augment, of values that JSON has."""
    names = ("HorizontalFlip", "OneOf", "Blur", "RandomCrop", "Affine", "Compose", "NoOp", "Lambda", "x", "", "Resize")
    values = (0.5, 2, -1, "x", None, [1, 2], {}, True, 10**18, float("nan"), [[{}]], "os:system")
    keys = ("p", "transforms", "height", "width", "blur_limit", "scale", "always_apply", "n", "image", "x")
    entry = {rng.choice(names): {rng.choice(keys): rng.choice(values) for _ in range(rng.randrange(3))}}
    if rng.random() < 0.3:
        inner = rng.choice([[entry], entry, [[entry]], [3]])
        entry = {rng.choice(["OneOf", "Sequential", "SomeOf"]): {"transforms": inner}}
    return rng.choice([entry, entry, entry, [entry], {}, {**entry, "y": {}}])


def _lines(rng: Random) -> str:
    lines = rng.sample(_SOUND_SET, 3) if rng.random() < 0.5 else []
    for _ in range(rng.randrange(1, 8)):
        anchor = rng.choice(["", "", "", "&a ", "&b "])
        lines.append(f"{'  ' * rng.choice([0, 0, 0, 1, 2])}{key(rng)}: {anchor}{value(rng)}")
    if rng.random() < 0.05:
        lines += _bomb(rng.randrange(2, 12), rng.randrange(3, 14))
    return "\n".join(lines)


def _bomb(width: int, depth: int) -> list[str]:
    """Lists of the lists before them: width**depth entries in a few hundred letters."""
    return [f"z{i}: &z{i} [{', '.join([f'*z{i - 1}' if i else 'x'] * width)}]" for i in range(depth)]


def _almost_sound(rng: Random, lines: tuple[str, ...]) -> str:
    """Some sound lines, of which one or two have another value."""
    chosen = rng.sample(lines, rng.randrange(1, len(lines)))
    for _ in range(rng.randrange(3)):
        place = rng.randrange(len(chosen))
        if rng.random() < 0.5:
            chosen[place] = chosen[place].partition(":")[0] + ": " + value(rng)
        else:
            words = chosen[place].split(" ")
            words[rng.randrange(len(words))] = rng.choice(ATOMS)
            chosen[place] = " ".join(words)
    return "\n".join(chosen)


def _as_saved(rng: Random, text: str) -> bytes:
    """A text as an editor, or an accident, leaves it."""
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1", "utf-32"])
    data = text.encode(encoding, errors="replace" if encoding != "utf-8" else "surrogatepass")
    return damage(rng, data, 0.3)
