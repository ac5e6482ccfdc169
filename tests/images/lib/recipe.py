"""Recipes: what an image is made of, and the key that says whether it has changed.

A folder recipes/NAME holds
  image.json   "tags"; "base", another recipe or null; "packages", or "unpack" for packages whose
               files are wanted without dpkg around them; "config", as OCI has it
  prepare.sh   run in the root before packages are installed (optional)
  files/       copied over the root: before "unpack", after "packages"
  finish.sh    run in the root at the end (optional)
"""

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "recipes"


class Failure(Exception):
    """Something that the person who called can understand and mend."""


@dataclass
class Recipe:
    name: str
    folder: Path
    tags: list
    base: str | None
    packages: list
    unpack: list
    config: dict

    def script(self, name: str) -> str | None:
        path = self.folder / name
        return path.read_text() if path.exists() else None


def names() -> list:
    return sorted(path.parent.name for path in RECIPES.glob("*/image.json"))


def load(name: str) -> Recipe:
    folder = RECIPES / name
    fields = json.loads((folder / "image.json").read_text())
    return Recipe(
        name=name,
        folder=folder,
        tags=fields["tags"],
        base=fields.get("base"),
        packages=fields.get("packages", []),
        unpack=fields.get("unpack", []),
        config=fields["config"],
    )


def key(name: str) -> str:
    """Changes when the recipe, its base, these scripts or the machine's distribution do."""
    digest = hashlib.sha256()
    release = platform.freedesktop_os_release()
    digest.update(f"{release['ID']} {release.get('VERSION_ID')} {platform.machine()}".encode())
    sources = [ROOT / "make", *(ROOT / "lib").glob("*.py")]
    for path in sorted(sources) + sorted((RECIPES / name).rglob("*")):
        digest.update(f"\0{path.relative_to(ROOT)} {os.lstat(path).st_mode}\0".encode())
        if path.is_symlink():
            digest.update(os.readlink(path).encode())
        elif path.is_file():
            digest.update(path.read_bytes())
    base = load(name).base
    if base:
        digest.update(key(base).encode())
    return digest.hexdigest()[:16]
