"""Plugin files that are named on the command line."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from benchkit.files import TEXT, require


class _FromSource(SourceFileLoader):
    """Compiles a file each time: bytecode of an edit as long and in the same second would pass for that of the next."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError("without these, bytecode is neither read nor written")


def import_file(path: Path) -> ModuleType:
    """Run a file as a module of its own, as it is now.

    Raises:
        FileNotFoundError: if there is none.
        ImportError: if its name does not end in ``.py``.
        BenchkitError: if it is not a regular file, or too large for source text.
        BaseException: what the file raises.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    require(path, TEXT)
    # Keys are made from the file of a module's name, once a process: another file or another text is another module.
    text = hashlib.sha256(bytes(path.resolve()) + b"\0" + path.read_bytes()).hexdigest()[:8]
    name = f"benchkit_file_{path.stem}_{text}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    if spec is None or spec.loader is None or path.suffix != ".py":
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
