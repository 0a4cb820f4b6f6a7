"""Import the reference submission's train_gpt.py as a module. Needs the ``repro`` extra (torch)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from harness.errors import UsageFault
from harness.reference import REFERENCE_FOLDER


def load_script(path: Path = REFERENCE_FOLDER / "train_gpt.py") -> ModuleType:
    """Execute our own train_gpt.py as a module of its own; nothing runs at import. Raises UsageFault without torch.

    Never call this with a submission's script: that runs in the sandbox only.
    """
    name = "pgolf_reference_train_gpt"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageFault(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        del sys.modules[name]
        raise UsageFault(f"the reference needs {error.name}: pip install 'parameter-golf-harness[repro]'") from error
    return module
