"""Where configs lie: those that came with detres, and the one that a name means."""

from __future__ import annotations

from pathlib import Path

from detres.errors import ConfigError
from detres.lookup import nearest


def config_folder() -> Path:
    """The configs that came with detres: configs/ of a clone, else the copy that the wheel ships."""
    package = Path(__file__).resolve().parents[1]
    clone = package.parent
    if (clone / "pyproject.toml").is_file() and (clone / "configs").is_dir():
        return clone / "configs"
    return package / "_configs"


def list_configs(folder: Path | None = None) -> list[tuple[str, str, Path]]:
    """(stem, first comment line, path) of every config, by path."""
    found = []
    for path in sorted((folder or config_folder()).rglob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            first = file.readline()
        found.append((path.stem, first.lstrip("# ").rstrip() if first.startswith("#") else "", path))
    return found


def find_config(name_or_path: str | Path, folder: Path | None = None, *, asked: str = "--cfg") -> Path:
    """The file of a stem or a path; ConfigError with the nearest stems where there is none.

    asked: where the name was given, for people.
    """
    name = str(name_or_path)
    if name.endswith((".yaml", ".yml")) or isinstance(name_or_path, Path):
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(
                f"{asked} {name}: there is no such file below {Path.cwd()}; give a path, or a name that "
                "`detres configs` lists"
            )
        return path
    folder = folder or config_folder()
    paths = [path for stem, _, path in list_configs(folder) if stem == name]
    if len(paths) == 1:
        return paths[0]
    if paths:
        raise ConfigError(f"{asked} {name}: several files have this name; give one: {', '.join(map(str, paths))}")
    stems = [stem for stem, _, _ in list_configs(folder)]
    close = nearest(name, stems)
    mend = f"did you mean {' or '.join(close)}?" if close else "`detres configs` lists them all"
    raise ConfigError(f"{asked} {name}: there is no config of this name below {short_path(folder)}; {mend}")


def short_path(path: Path) -> str:
    """A path as its user would write it: below the working folder or the clone, where it lies there."""
    resolved = path.resolve()
    for root in (Path.cwd(), config_folder().parent):
        if resolved.is_relative_to(root):
            return str(resolved.relative_to(root))
    return str(path)
