"""The results folder: disposable artifacts by key, permanent JSON records by path; every write is atomic."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.hashing import canonical, digest
from benchkit.records.record import SCHEMA, Record, parse_own
from benchkit.store.files import inside, read_json, stay, storage_errors, write_atomic, write_synced
from benchkit.store.locks import holder, locked, sweep_locks, sweep_unfinished, unfinished
from benchkit.store.recorded import file_of, files_of
from benchkit.store.tensors import pack, unpack

if TYPE_CHECKING:
    from torch import Tensor


class Damaged(Exception):
    """An expected artifact is missing or does not match its checksums; it has been removed."""

    def __init__(self, stage: str, key: str) -> None:
        super().__init__(f"{stage} artifact {key[:8]} is damaged or missing and will be made again")
        self.stage, self.key = stage, key


class Store:
    """One results folder, shared by all processes of one or more runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.artifacts = root / "artifacts"
        self.results = root / "results"

    def open(self) -> Store:
        """Make the folders, and check that they can be written.

        Raises:
            StoreError: in one sentence.
        """
        with storage_errors(self.root):
            for folder in (self.artifacts, self.results):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.results, *self.artifacts.iterdir()):
                self._stay(folder / "anything")
            probe = unfinished(self.artifacts)
            probe.mkdir()
            probe.rmdir()
        self.sweep()
        return self

    def sweep(self) -> None:
        """Remove the incomplete files and locks of killed processes of this machine."""
        places = (self.artifacts.glob(".new-*"), self.artifacts.glob("*/.new-*"), self.results.rglob(".new-*"))
        sweep_unfinished(path for found in places for path in found if inside(self.root, path))
        if inside(self.root, self.artifacts / "locks" / "any"):
            sweep_locks(self.artifacts / "locks")

    def _stay(self, path: Path) -> None:
        stay(self.root, path, "the results folder")

    def path(self, stage: str, key: str) -> Path:
        """Return the folder of an artifact."""
        return self.artifacts / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Return whether an artifact exists. This is fast; checksums are verified when it is loaded."""
        return (self.path(stage, key) / "manifest.json").is_file()

    def meta(self, stage: str, key: str) -> dict[str, Any]:
        """Return the metadata of an artifact.

        Raises:
            Damaged: if there is no readable manifest.
        """
        try:
            return dict(self._manifest(stage, key)["meta"])
        except (OSError, ValueError, KeyError, TypeError):
            raise self.discard(stage, key) from None

    def load(self, stage: str, key: str) -> dict[str, Tensor]:
        """Return an artifact's tensors, on the CPU.

        Raises:
            Damaged: if it is missing or its bytes have changed.
        """
        from safetensors import SafetensorError

        folder = self.path(stage, key)
        try:
            expected = self._manifest(stage, key)["sha256"]
            raw = (folder / "tensors.safetensors").read_bytes()
            if hashlib.sha256(raw).hexdigest() == expected:
                return unpack(raw)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            pass
        raise self.discard(stage, key)

    def _manifest(self, stage: str, key: str) -> dict[str, Any]:
        """Return an artifact's manifest; raise OSError, ValueError, KeyError or TypeError if it is damaged."""
        manifest = dict(json.loads((self.path(stage, key) / "manifest.json").read_text()))
        expected = manifest.pop("check")
        if digest(manifest) != expected:
            raise ValueError("the manifest does not match its checksum")
        return manifest

    def save(self, stage: str, key: str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Publish an artifact: written under a temporary name, synced, then renamed.

        Raises:
            StoreError: if it cannot be written; no incomplete files remain.
        """
        raw = pack(tensors)
        manifest = {
            "schema": SCHEMA,
            "sha256": hashlib.sha256(raw).hexdigest(),
            "bytes": len(raw),
            "meta": meta,
        }
        manifest["check"] = digest(manifest)
        final = self.path(stage, key)
        with storage_errors(self.root):
            self._stay(final)
            final.parent.mkdir(parents=True, exist_ok=True)
            temporary = unfinished(final.parent)
            try:
                temporary.mkdir()
                write_synced(temporary / "tensors.safetensors", raw)
                write_synced(temporary / "manifest.json", canonical(manifest).encode())
                self.discard(stage, key)
                temporary.rename(final)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def discard(self, stage: str, key: str) -> Damaged:
        """Remove an artifact if it exists, and return the exception that reports it."""
        self._stay(self.path(stage, key))
        shutil.rmtree(self.path(stage, key), ignore_errors=True)
        return Damaged(stage, key)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the exclusive right to make one key; the operating system releases it when the holder dies."""
        with ExitStack() as opened:
            with storage_errors(self.root):
                path = self._lock(key)
                self._stay(path)
                path.parent.mkdir(parents=True, exist_ok=True)
                opened.enter_context(locked(path))
            yield

    def holder(self, key: str) -> str:
        """Return the process that is making a key, such as ``process 4711 on node7``; "" if there is none."""
        return holder(self._lock(key))

    def _lock(self, key: str) -> Path:
        return self.artifacts / "locks" / f"{key[:32]}.lock"

    def record_path(self, identity: Mapping[str, Any]) -> Path:
        """Return the path of the record of one cell and seed."""
        return self.results / file_of(identity)

    def record(self, identity: Mapping[str, Any]) -> Record | None:
        """Return the record with this identity and key, with any status; None if there is no readable one."""
        return parse_own(read_json(self.record_path(identity)), identity)

    def write_record(self, record: Record) -> dict[str, Any]:
        """Write one record, readable, stable and atomic, after its pictures, which are files in a folder beside it.

        Returns:
            What its file holds.

        Raises:
            StoreError: if it cannot be written.
        """
        found, files = files_of(record)
        with storage_errors(self.root):
            for path, raw in files.items():
                self._write(self.results / path, raw)
        return found

    def _write(self, path: Path, raw: bytes) -> None:
        self._stay(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, raw)
