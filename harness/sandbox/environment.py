"""What a confined Python program needs of the host.

The interpreter, its libraries, GPU nodes, and a clean environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from harness.sandbox.confinement import CACHE, WORKSPACE

_SYSTEM = ("/usr", "/opt/cuda")
_LIBRARIES = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/local/cuda/lib64")
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/alternatives")
_GPU_PATTERNS = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps*")

ETC_FILES: Mapping[str, str] = {
    "/etc/passwd": f"pgolf:x:61001:61001:pgolf:{WORKSPACE}:/bin/sh\n",
    "/etc/group": "pgolf:x:61001:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
"""The few files of /etc that libraries look for, made up: nothing of the host's own is shown."""

USER_ID = 61001


def system_paths() -> tuple[tuple[Path, ...], dict[str, str]]:
    """Return the host paths to show read-only at their own place, and the links to make (``/bin`` -> ``usr/bin``)."""
    links = {name: str(Path(name).readlink()) for name in _MERGED if Path(name).is_symlink()}
    paths = [Path(p) for p in (*_SYSTEM, *_MERGED, *_ETC) if p not in links and Path(p).exists()]
    for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not any(Path(prefix).is_relative_to(shown) for shown in paths):
            paths.append(Path(prefix))
    return tuple(paths), links


def gpu_nodes() -> tuple[Path, ...]:
    """Return the device nodes that CUDA opens; empty where there is no NVIDIA driver."""
    return tuple(sorted(node for pattern in _GPU_PATTERNS for node in Path("/dev").glob(pattern)))


def base_environment() -> dict[str, str]:
    """Return the environment of every confined program; nothing of the caller's environment is passed on."""
    libraries = ":".join(folder for folder in _LIBRARIES if Path(folder).is_dir())
    return {
        **({"LD_LIBRARY_PATH": libraries} if libraries else {}),
        "PATH": f"{sys.prefix}/bin:/usr/local/cuda/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": WORKSPACE,
        "TMPDIR": f"{WORKSPACE}/tmp",
        "USER": "pgolf",
        "LOGNAME": "pgolf",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
        "TRITON_CACHE_DIR": f"{CACHE}/triton",
        "NCCL_SOCKET_IFNAME": "lo",
        "GLOO_SOCKET_IFNAME": "lo",
    }
