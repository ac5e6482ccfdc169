"""Debian packages by way of the machine's own apt and dpkg, with state of our own beside it."""

import os
import subprocess
import tempfile
from pathlib import Path

from recipe import Failure


class Apt:
    """Downloads what a root lacks; knows the machine's sources, changes nothing of the machine."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.archives = folder / "archives"
        for path in ("lists/partial", "archives/partial"):
            (folder / path).mkdir(parents=True, exist_ok=True)

    def download(self, packages: list, status: Path) -> list:
        """The .deb files that have to be added to a root whose dpkg status is `status`."""
        fresh = not any((self.folder / "lists").glob("*Packages*"))
        files = [] if fresh else self._resolve(packages, status)
        if not files:
            # Lists get old: they may name versions that are gone.
            self._apt("update", status=status, archives=self.archives)
            files = self._resolve(packages, status)
        if not files:
            raise Failure(f"apt cannot provide {' '.join(packages)}; its words are above")
        return files

    def _resolve(self, packages: list, status: Path) -> list:
        install = ["install", "--yes", "--no-install-recommends", *packages]
        # What the cache holds already is not listed, so it is asked for with an empty one.
        with tempfile.TemporaryDirectory() as empty:
            listed = self._apt("--print-uris", *install, status=status, archives=Path(empty))
        got = self._apt("--download-only", *install, status=status, archives=self.archives)
        if listed.returncode != 0 or got.returncode != 0:
            return []
        # 'URI' FILE SIZE HASH
        lines = [line.split() for line in listed.stdout.splitlines() if line.startswith("'")]
        return [self.archives / line[1] for line in lines]

    def _apt(self, *words: str, status: Path, archives: Path) -> subprocess.CompletedProcess:
        options = {
            "Dir::State": self.folder,
            "Dir::State::status": status,
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": archives,
            "APT::Sandbox::User": "root",
        }
        settings = [f"-o{key}={value}" for key, value in options.items()]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "-qq", *settings, *words]
        return subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE)
