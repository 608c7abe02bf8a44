"""The wheel carries configs/ as detres/_configs; everything else is declared in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree(
                Path(__file__).parent / "configs", Path(self.build_lib) / "detres" / "_configs", dirs_exist_ok=True
            )


setup(packages=find_packages(include=["detres", "detres.*"]), cmdclass={"build_py": BuildWithConfigs})
