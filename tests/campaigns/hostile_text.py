"""A campaign of hostile text and archives: our yaml, others' data.yaml, configs, overrides, shards, tars, zips, names.

    python tests/campaigns/hostile_text.py --minutes 10 --seed 1 [--workers 2]

Each input is a function of (seed, number), so `--seed S --first N --count 1` repeats one. An input may end in a result
or a UserError alone: no other exception, no more than SECONDS, no more memory than MEMORY beyond what the imports took,
no program started, no code imported, no file written outside the folder given. Prints how many ended how; status 1
where one did not.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np

from detres.config.loading import Layer, list_configs, load_config, read_override, resolve
from detres.data.archives import unpack, unpack_nested
from detres.data.data_file import load_classification_file, load_data_file, task_of_data_file
from detres.data.shard_stream import read_lane
from detres.data.tar_shards import load_shards
from detres.data.transforms import build_augmentation
from detres.errors import UserError
from detres.files.names import unique_names
from detres.files.shard_names import expand_names

SECONDS = 20
MEMORY = 512 << 20

# Draws.

_WORDS = (
    *("format", "root", "train", "val", "test", "classes", "val_fraction", "names", "nc", "path", "augment", "strict"),
    *("model", "data", "training", "optimizer", "schedule", "backbone", "name", "lr", "steps", "batch", "milestones"),
    *("task", "recipe", "shortest_side", "exif", "workers", "images", "download", "<<", "layout", "weights", "=", "y"),
)
_ATOMS = (
    *("coco", "voc", "yolo", "folder", "webdataset", "imagenet", "cifar10", "shapes", "detection", "classification"),
    *(
        "1",
        "0",
        "-1",
        "1e-3",
        "1e999",
        ".inf",
        "-.inf",
        ".nan",
        "9" * 30,
        "9" * 5000,
        "0x" + "f" * 40,
        "1:59:59",
        "010",
    ),
    *(
        "true",
        "no",
        "null",
        "~",
        "2020-13-45",
        "2020-01-01",
        "''",
        '""',
        '"\\0"',
        '"\\ud800"',
        '"\\U0010ffff"',
        "'a\n\n b'",
    ),
    *(
        "a.tar",
        "a-{0..3}.tar",
        "{0..99999999999}",
        "{" * 50,
        "{a,b}" * 30,
        "'pipe:touch CANARY'",
        "'{p,q}ipe:touch CANARY'",
    ),
    *("'a::pipe:touch CANARY'", "'https://h/a.tar'", "'https://h/$(touch CANARY)'", "'gs://b/a.tar'", "'s3://b/c'"),
    *("'../../x'", "/etc/passwd", "'~nobody/x'", "'~'", "x" * 300, "x" * 3000, "images/train", ".", "..", "''"),
    *(
        "!!python/object/apply:os.system ['touch CANARY']",
        "!!binary xx",
        "!!set {a}",
        "!x y",
        "!!timestamp 3",
        "!!int x",
    ),
    *("{'os:system': {command: touch CANARY}}", "{OneOf: {transforms: [{'os:system': {command: touch CANARY}}]}}"),
    *(
        "[[[[1]]]]",
        "[" * 80,
        "{a: " * 80,
        "- " * 80,
        "*a",
        "&a [*a]",
        "&b x",
        "*b",
        "? [a]",
        "{[1]: 2}",
        "|\n  x",
        ">\n  y",
    ),
    *(
        "犬",
        "Löwe",
        "\u2028",
        "\x85",
        "\ufeff",
        "\x00",
        "\x1b",
        "\t",
        "#",
        "---",
        "...",
        "%YAML 9.9",
        "@",
        "`",
        "'",
        '"',
    ),
)
_CODE = "os:system"


def _value(draw: random.Random, depth: int = 0) -> str:
    kind = draw.random()
    if depth > 3 or kind < 0.6:
        return draw.choice(_ATOMS)
    if kind < 0.8:
        return "[" + ", ".join(_value(draw, depth + 1) for _ in range(draw.randrange(5))) + "]"
    return "{" + ", ".join(f"{_key(draw)}: {_value(draw, depth + 1)}" for _ in range(draw.randrange(4))) + "}"


def _key(draw: random.Random) -> str:
    return draw.choice(_WORDS) if draw.random() < 0.9 else draw.choice(_ATOMS)


def _yaml(draw: random.Random) -> str:
    lines = []
    if draw.random() < 0.5:
        lines += draw.sample(["format: coco", "format: webdataset", "names: [a, b]", "train: images", "root: ."], 3)
    for _ in range(draw.randrange(1, 8)):
        anchor = draw.choice(["", "", "", "&a ", "&b "])
        lines.append(f"{'  ' * draw.choice([0, 0, 0, 1, 2])}{_key(draw)}: {anchor}{_value(draw)}")
    if draw.random() < 0.05:
        width = draw.randrange(2, 12)
        lines += [
            f"z{i}: &z{i} [{', '.join([f'*z{i - 1}' if i else 'x'] * width)}]" for i in range(draw.randrange(3, 14))
        ]
    return "\n".join(lines)


_SOUND = (
    *("model: {layout: fpn}", "training: {steps: 10, batch: 4}", "optimizer: {lr: 0.02}", "test: {score: 0.5}"),
    *(
        "schedule: {milestones: [5, 8]}",
        "task: detection",
        "data: {format: coco, root: x, train: a.json:b}",
        "recipe: r",
    ),
)
_SOUND_DATA = ("format: webdataset", "root: .", "train: 'a-{0..3}.tar'", "val: b.tar", "classes: [a, b]", "images: 10")


def _almost_sound(draw: random.Random, lines: tuple[str, ...]) -> str:
    """Some sound lines, of which one or two have another value."""
    chosen = draw.sample(lines, draw.randrange(1, len(lines)))
    for _ in range(draw.randrange(3)):
        place = draw.randrange(len(chosen))
        if draw.random() < 0.5:
            chosen[place] = chosen[place].partition(":")[0] + ": " + _value(draw)
        else:
            words = chosen[place].split(" ")
            words[draw.randrange(len(words))] = draw.choice(_ATOMS)
            chosen[place] = " ".join(words)
    return "\n".join(chosen)


def _bytes_of(draw: random.Random, text: str) -> bytes:
    """A text as an editor, or an accident, leaves it."""
    encoding = draw.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1", "utf-32"])
    data = bytearray(text.encode(encoding, errors="replace" if encoding != "utf-8" else "surrogatepass"))
    if draw.random() < 0.3:
        _damage(draw, data)
    return bytes(data)


def _damage(draw: random.Random, data: bytearray) -> None:
    for _ in range(draw.randrange(1, 6)):
        place = draw.randrange(len(data) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            data[place : place + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            data[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(9)))
        elif kind == 2:
            del data[place : place + draw.choice([1, 3, 100, 600])]
        else:
            source = draw.randrange(len(data) + 1)
            data[place:place] = data[source : source + draw.choice([1, 10, 512])]


# What is read, each from a file or texts in `folder`.


def _own_data(draw: random.Random, folder: Path) -> None:
    file = folder / "data.yaml"
    file.write_bytes(_bytes_of(draw, draw.choice([_yaml(draw), _almost_sound(draw, _SOUND_DATA)])))
    readers: list[Callable[[Path], object]] = [task_of_data_file, load_data_file, load_classification_file]
    task = "detection"
    for read in readers:
        with _user_errors():
            data = read(file)
            if isinstance(data, str):
                task = data
            else:
                task = "detection" if read is load_data_file else "classification"
                resolve([Layer(str(file), {"task": task, "data": data.model_dump(mode="json", exclude_unset=True)})])


def _config(draw: random.Random, folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_bytes(_bytes_of(draw, draw.choice([_yaml(draw), _almost_sound(draw, _SOUND)])))
    load_config(file, _overrides(draw) if draw.random() < 0.3 else [], trusted=draw.random() < 0.5)


def _override(draw: random.Random, folder: Path) -> None:
    texts = _overrides(draw)
    with _user_errors():
        load_config(draw.choice(_RECIPES), texts)
    resolve([read_override(text) for text in texts])


_RECIPES = [path for stem, _, path in list_configs() if stem in ("coco_r50", "cifar10_resnet20")]


def _overrides(draw: random.Random) -> list[str]:
    keys = (
        *("training.batch", "training.steps", "optimizer.lr", "schedule.milestones", "data.train", "data.root", "task"),
        *("model.backbone.name", "data.augment", "a." * 400 + "b", "", ".", "model", "test.scales", "data.classes"),
    )
    value = [draw.choice(["=", "=", "=", "==", "", " = "]) + _value(draw) for _ in range(draw.randrange(1, 4))]
    return [(draw.choice(keys) if draw.random() < 0.8 else _key(draw)) + text for text in value]


def _shard_names(draw: random.Random, folder: Path) -> None:
    pieces = (
        "a",
        "{",
        "}",
        ",",
        "..",
        "0",
        "9",
        "{0..9}",
        "{a..z}",
        "{a,b}",
        "::",
        "\\",
        "pipe:",
        "https://",
        "{0..9..0}",
    )
    expand_names("".join(draw.choices(pieces, k=draw.randrange(40))))


_NAMES = (
    *("a.jpg", "a.cls", "a.json", "b.png", "b.cls", "../a.jpg", "/abs.jpg", "a/../../b.jpg", "..", ".", "", "...tar"),
    *("n1.tar", "犬.jpg", "\udc80.jpg", "x" * 300 + ".jpg", "a\nb.jpg", "a.jpg/b.jpg", ".hidden.jpg", "__m__/a.jpg"),
    *("a\\b.jpg", "con.jpg", "a.JPG", "a.b.c.jpg", "a"),
)
_PIXEL = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
_CONTENTS = (
    *(
        b"",
        b"0",
        b"1",
        b"-1",
        b"x",
        b"9" * 5000,
        b"1e5",
        b"\xff\xfe",
        b'{"label": 1}',
        b'{"label": 1e999}',
        b"[" * 5000,
    ),
    *(
        b'{"label": "1"}',
        b'{"label": ' + b"9" * 5000 + b"}",
        b'{"label": [1]}',
        b'{"label": true}',
        b"null",
        b"\0" * 4000,
    ),
)


def _tar(draw: random.Random, depth: int = 0) -> bytes:
    if depth == 0 and draw.random() < 0.3:
        return _almost_sound_tar(draw)
    stream = io.BytesIO()
    form = draw.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
    pax = {draw.choice(["path", "size", "GNU.sparse.map", "GNU.sparse.major", "hdrcharset", "comment"]): _pax(draw)}
    with tarfile.open(fileobj=stream, mode="w", format=form, errors="surrogateescape") as made:
        for _ in range(draw.randrange(6)):
            member = tarfile.TarInfo(draw.choice(_NAMES))
            if form == tarfile.PAX_FORMAT and draw.random() < 0.3:
                member.pax_headers = pax
            member.type = draw.choice(
                [tarfile.REGTYPE] * 12 + [b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"L", b"x", b"g"]
            )
            member.linkname = draw.choice(["", "/etc/passwd", "../x"])
            inner = depth < 1 and member.name.endswith(".tar")
            content = _tar(draw, depth + 1) if inner else draw.choice(_CONTENTS)
            member.size = len(content)
            try:
                made.addfile(member, io.BytesIO(content))
            except (ValueError, UnicodeError):
                continue
    data = bytearray(stream.getvalue())
    if draw.random() < 0.3:
        _damage(draw, data)
    if draw.random() < 0.2 and len(data) > 512:  # a header's size, with its checksum mended
        at = 512 * draw.randrange(len(data) // 512)
        data[at + 124 : at + 136] = draw.choice(
            [b"77777777777\0", b"\x80" + b"\0" * 10 + b"\x09", b"\xff" * 12, b"junk junk ju"]
        )
        header = bytes(data[at : at + 148]) + b" " * 8 + bytes(data[at + 156 : at + 512])
        data[at + 148 : at + 156] = f"{sum(header) & 0o777777:06o}\0 ".encode()
    return bytes(data)


def _almost_sound_tar(draw: random.Random) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for key in draw.sample(["a", "b", "c/d", "e"], draw.randrange(1, 5)):
            label = draw.choice([b"0", b"1", b"1", draw.choice(_CONTENTS)])
            for name, content in ((f"{key}.png", _PIXEL), (f"{key}.cls", label)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                made.addfile(member, io.BytesIO(content))
    data = bytearray(stream.getvalue())
    if draw.random() < 0.5:
        _damage(draw, data)
    return bytes(data)


def _pax(draw: random.Random) -> str:
    return draw.choice(["../x.jpg", "-1", "9" * 30, "x", "0,1000000000", "1", "a\nb", "BINARY", "7" * 9000])


def _shards(draw: random.Random, folder: Path) -> None:
    file = folder / "s.tar"
    file.write_bytes(_tar(draw))
    if draw.random() < 0.8:
        (folder / "classes.txt").write_bytes(_bytes_of(draw, "cat\ndog\n"))
    with _user_errors():
        images = load_shards(folder, "s.tar")
        for i in range(len(images)):
            with _user_errors():
                images.read(i)
    if draw.random() < 0.3:
        import gzip

        file.write_bytes(gzip.compress(file.read_bytes(), 1))
    list(itertools.islice(read_lane([str(file)], 2, seed=0, epoch=0, lane=0, lanes=1), 20))


def _archive(draw: random.Random, folder: Path) -> None:
    file, target = folder / "a.zip", folder / "inside" / "target"
    if draw.random() < 0.5:
        file.write_bytes(_tar(draw))
    else:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as made:
            for _ in range(draw.randrange(5)):
                name = draw.choice(_NAMES).encode(errors="replace").decode() or "empty"
                made.writestr(name, draw.choice(_CONTENTS))
        data = bytearray(stream.getvalue())
        if draw.random() < 0.5:
            _damage(draw, data)
        file.write_bytes(data)
    try:
        draw.choice([unpack, unpack_nested])(file, target)
    finally:
        left = [path for path in folder.rglob("*") if path not in (file, folder / "inside", target)]
        outside = [path for path in left if not path.is_relative_to(target)]
        if outside:
            raise AssertionError(f"written outside the target: {outside[:3]}")


def _names(draw: random.Random, folder: Path) -> None:
    letters = 'ab./\\\0\n:*?"<>|~ 犬é\u0301\ud800\udc80\u202e-_CONnul1'
    names = ["".join(draw.choices(letters, k=draw.choice([0, 1, 2, 3, 8, 300]))) for _ in range(draw.randrange(12))]
    chosen = unique_names(names)
    for name in chosen:
        (folder / name).touch()
    if len(os.listdir(folder)) != len(names):
        raise AssertionError(f"{names!a} became {chosen!a}")


def _augmentations(draw: random.Random, folder: Path) -> None:
    names = ("HorizontalFlip", "OneOf", "Blur", "RandomCrop", "Affine", "Compose", "NoOp", "Lambda", "x", "", "Resize")
    values = (0.5, 2, -1, "x", None, [1, 2], {}, True, 10**18, float("nan"), [[{}]], "os:system")
    keys = ("p", "transforms", "height", "width", "blur_limit", "scale", "always_apply", "n", "image", "x")
    entry = {draw.choice(names): {draw.choice(keys): draw.choice(values) for _ in range(draw.randrange(3))}}
    if draw.random() < 0.3:
        entry = {
            draw.choice(["OneOf", "Sequential", "SomeOf"]): {
                "transforms": draw.choice([[entry], entry, [[entry]], [3]])
            }
        }
    build_augmentation(draw.choice([entry, entry, entry, [entry], {}, {**entry, "y": {}}]), "data.augment.0")


KINDS: dict[str, tuple[Callable[[random.Random, Path], None], int]] = {
    "own data yaml and data.yaml": (_own_data, 6),
    "config": (_config, 8),
    "overrides": (_override, 3),
    "names of shards": (_shard_names, 4),
    "tar shards": (_shards, 5),
    "archives": (_archive, 6),
    "names of files": (_names, 4),
    "augmentations": (_augmentations, 1),
}

# One process that reads many.


class Broken(Exception):
    """What no input may do."""


@contextmanager
def _user_errors() -> Iterator[None]:
    with suppress(UserError):
        yield


def _watch(folder: Path) -> None:
    """Raise where code is run, or a file is written outside `folder`."""
    programs = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "os.startfile")
    inside = str(folder)

    def hook(event: str, arguments: tuple) -> None:
        if event in programs:
            raise Broken(f"a program was started: {event} {arguments!r:.200}")
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and isinstance(path, str) and not os.path.realpath(path).startswith((inside, "/dev/")):
                raise Broken(f"written outside: {path!a}")
        elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink"):
            path = os.fsdecode(arguments[0])
            if not os.path.realpath(path).startswith(inside):
                raise Broken(f"{event} outside: {path!a}")

    sys.addaudithook(hook)


def work(seed: int, first: int, count: int, seconds: float) -> Counter[str]:
    """Read inputs number first, first+1, ... until `count` or the time is done; what ended how."""
    kinds, weights = zip(*((name, weight) for name, (_, weight) in KINDS.items()), strict=True)
    sandbox = Path(tempfile.mkdtemp(prefix="detres-campaign-")).resolve()
    os.chdir(sandbox)
    os.environ["DETRES_DATASETS"] = str(sandbox / "datasets")
    build_augmentation({"NoOp": {}}, "x")  # what is imported once is imported before anything is watched
    with _user_errors():
        load_shards(sandbox, "none.tar")
    for build, _ in KINDS.values():
        with _user_errors():
            (sandbox / "warm").mkdir()
            build(random.Random(0), sandbox / "warm")
        shutil.rmtree(sandbox / "warm")
    warnings.simplefilter("ignore")
    _watch(sandbox)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    ended, begin = Counter(), time.monotonic()
    for number in range(first, first + count):
        if time.monotonic() - begin > seconds:
            break
        draw = random.Random(f"{seed} {number}")
        kind = draw.choices(kinds, weights)[0]
        folder = sandbox / "input"
        folder.mkdir()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            KINDS[kind][0](draw, folder)
            ended[f"{kind}: result"] += 1
        except UserError:
            ended[f"{kind}: told"] += 1
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            ended["BROKEN"] += 1
            print(f"BROKEN seed {seed} number {number} {kind}: {type(error).__name__}: {error!s:.300}", file=sys.stderr)
            traceback.print_exc(limit=-4)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            shutil.rmtree(folder)
        if (sandbox / "CANARY").exists():
            raise SystemExit(f"code ran: seed {seed} number {number} {kind}")
    shutil.rmtree(sandbox)
    return ended


def _too_long(*_: object) -> None:
    raise Broken(f"more than {SECONDS} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1 << 40)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.workers > 1:
        return _in_processes(arguments)
    print(f"seed {arguments.seed}, from {arguments.first}", flush=True)
    ended = work(arguments.seed, arguments.first, arguments.count, 60 * arguments.minutes)
    print(json.dumps({"inputs": ended.total(), **dict(sorted(ended.items()))}))
    return 1 if ended["BROKEN"] else 0


def _in_processes(arguments: argparse.Namespace) -> int:
    """Several workers, each with a seed of its own."""
    command = [sys.executable, __file__, "--minutes", str(arguments.minutes), "--count", str(arguments.count)]
    seeds = range(arguments.seed, arguments.seed + arguments.workers)
    started = [subprocess.Popen([*command, "--seed", str(seed)]) for seed in seeds]
    return max(abs(process.wait()) for process in started)


if __name__ == "__main__":
    sys.exit(main())
