"""The project installed from its wheel, as a user has it: away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPO

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel; all else is lent by the environment of the tests."""

    wheel: Path
    scripts: Path

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, such as ``genattr``, in a folder."""
        return self._run([str(self.scripts / command[0]), *command[1:]], cwd)

    def shell(self, line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a line of bash in a folder, as if the environment were active."""
        return self._run(["bash", "-c", line], cwd)

    def _run(self, command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        clean["PATH"] = f"{self.scripts}{os.pathsep}{clean['PATH']}"
        return subprocess.run(
            command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=300, check=False
        )


def install(folder: Path) -> Installed:
    """Build the wheel and install it, without its dependencies, into a fresh environment."""
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    _call(*build, "--wheel-dir", str(folder), str(REPO))
    (wheel,) = folder.glob("genattr-*.whl")
    environment = folder / "venv"
    paths = _make_environment(environment)
    _call(*PIP, "--python", str(environment), "install", "--no-deps", "--no-index", str(wheel))
    return Installed(wheel, Path(paths["scripts"]))


def _make_environment(folder: Path) -> dict[str, str]:
    """Make an environment that sees the packages, but not the links to checkouts, of this one."""
    venv.create(folder, symlinks=True)
    paths = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
    lent = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    Path(paths["purelib"], "lent.pth").write_text("\n".join(lent))
    return paths


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
