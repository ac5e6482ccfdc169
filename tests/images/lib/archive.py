"""Image archives: one tar file that is an OCI layout and what `docker save` writes, at once."""

import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import layers
import recipe as recipes
import roots
from packages import Apt
from recipe import Failure, Recipe

ARCHITECTURES = {"x86_64": ("amd64", None), "aarch64": ("arm64", "v8")}
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def ensure(name: str, out: Path) -> Path:
    """The archive of an image, made unless it is there and its recipe has not changed."""
    key = recipes.key(name)
    archive, note = out / f"{name}.tar", out / f"{name}.key"
    if archive.exists() and note.exists() and note.read_text() == key:
        return archive
    recipe = recipes.load(name)
    chain = chain_of(recipe, out)
    new = archive.with_suffix(".new")
    write(recipe, chain, new)
    note.unlink(missing_ok=True)
    os.replace(new, archive)
    note.write_text(key)
    return archive


def chain_of(recipe: Recipe, out: Path) -> list:
    """The layer files of an image, lowest first."""
    below = chain_of(recipes.load(recipe.base), out) if recipe.base else []
    return [*below, ensure_layer(recipe, below, out)]


def ensure_layer(recipe: Recipe, below: list, out: Path) -> Path:
    folder = out / "layers"
    folder.mkdir(exist_ok=True)
    path = folder / f"{recipe.name}-{recipes.key(recipe.name)}.gz"
    if path.exists() and path.with_suffix(".json").exists():
        return path
    for old in folder.glob(f"{recipe.name}-*"):
        old.unlink()
    if os.geteuid() != 0:
        raise Failure("images are made by dpkg in a chroot, which takes root")
    with tempfile.TemporaryDirectory(dir=out, prefix=f"{recipe.name}-") as scratch:
        root, base = Path(scratch) / "root", Path(scratch) / "base"
        root.mkdir(mode=0o755)
        base.mkdir(mode=0o755)
        for layer in below:
            layers.unpack(layer, root)
            # Not hard links: what is changed in place would change in the base too, unseen.
            layers.unpack(layer, base)
        roots.make(recipe, root, Apt(out / "apt"))
        new = path.with_suffix(".new")
        layers.write(root, base if below else None, new)
        os.replace(new.with_suffix(".json"), path.with_suffix(".json"))
        os.replace(new, path)
    return path


def write(recipe: Recipe, chain: list, path: Path) -> None:
    known = [layers.Layer.load(layer) for layer in chain]
    config = to_json(config_of(recipe, known))
    manifest = to_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [
                {"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in known
            ],
        }
    )
    entries = []
    for tag in recipe.tags:
        reference = f"docker.io/library/{tag}"
        notes = {
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": tag.split(":")[1],
        }
        entries.append({**descriptor(MANIFEST, manifest), "annotations": notes})
    index = to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    docker = [
        {
            "Config": blob(digest(config)),
            "RepoTags": recipe.tags,
            "Layers": [blob(layer.digest) for layer in known],
        }
    ]
    with tarfile.open(path, "w") as tar:
        add_bytes(tar, "oci-layout", to_json({"imageLayoutVersion": "1.0.0"}))
        add_bytes(tar, "index.json", index)
        add_bytes(tar, "manifest.json", to_json(docker))
        add_bytes(tar, blob(digest(manifest)), manifest)
        add_bytes(tar, blob(digest(config)), config)
        for layer, file in zip(known, chain):
            tar.add(file, arcname=blob(layer.digest), filter=anonymous)


def config_of(recipe: Recipe, known: list) -> dict:
    architecture, variant = ARCHITECTURES[platform.machine()]
    created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = f"tests/images/recipes/{recipe.name}"
    steps = [{"created": created, "created_by": made} for _ in known]
    return {
        "created": created,
        "architecture": architecture,
        **({"variant": variant} if variant else {}),
        "os": "linux",
        "config": recipe.config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in known]},
        "history": steps,
    }


def to_json(value) -> bytes:
    return json.dumps(value, indent=1).encode()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(media_type: str, data: bytes) -> dict:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def blob(name: str) -> str:
    return "blobs/" + name.replace(":", "/")


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry


def add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(data))
