"""The wheel carries configs/ as detres/_configs, and README.md as its long description, without links into a clone;
everything else is declared in pyproject.toml.
"""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithConfigs(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree(HERE / "configs", Path(self.build_lib) / "detres" / "_configs", dirs_exist_ok=True)


def long_description() -> str:
    """README.md for an index, which has its text alone: no pictures, and of a link to a file the words."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n+", "", text, flags=re.M)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)", r"\1", text)


setup(
    packages=find_packages(include=["detres", "detres.*"]),
    cmdclass={"build_py": BuildWithConfigs},
    long_description=long_description(),
    long_description_content_type="text/markdown",
)
