"""Description of the machine of a run, its memory that is free, and the peak of what a run took."""

import platform
import resource
import subprocess
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from relbench.cores import usable_cores
from relbench.losses.angle import kernel_package
from relbench.memory import free_for_this_process
from relbench.results.records import Machine

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
GIT_TIMEOUT = 20  # seconds
PEAK_UNIT = 1 if platform.system() == "Darwin" else 1024  # bytes: what `ru_maxrss` counts
PACKAGES = ("torch", "torchvision", "numpy", "faiss-cpu", "pytorch-metric-learning", "pillow")


def describe_machine(device: torch.device) -> Machine:
    """Hardware, system, packages and commit of a run on this machine."""
    return Machine(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        cores=usable_cores(),
        system=platform.platform(),
        versions=_versions() | _angle_kernel(device.type),
        git_commit=_git_commit(),
    )


def _processor() -> str:
    lines = _lines(Path("/proc/cpuinfo"))
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    """Lines of a system file; none where it is missing or unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


@cache
def _versions() -> dict[str, str]:
    known = {name: version for name in PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), "relbench-kd": _version("relbench-kd") or "not installed"} | known


def _angle_kernel(device: str) -> dict[str, str]:
    """The package, with its version, that compiles the kernel of angle losses on a device; none where it is eager."""
    package = kernel_package(device)
    version = _version(package) if package else None
    return {package: version} if package and version else {}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def _git_commit() -> str | None:
    """The commit of the checkout that this code runs from; None outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=GIT_TIMEOUT,
        )

    try:
        tracked = git("ls-files", "--error-unmatch", "__init__.py").returncode == 0
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", ".").stdout.strip()
    except (OSError, subprocess.TimeoutExpired):  # git is missing, may not be run, or waits for a slow disk
        return None
    if not tracked or commit.returncode != 0:  # no checkout, or another user's, which git does not trust
        return None
    return commit.stdout.strip() + ("-dirty" if changed else "")


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU, or for this process on the CPU: in a container fewer than the machine has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_for_this_process()


def forget_peak_memory(device: torch.device) -> None:
    """Reset the peak; outside Linux it stays that of the process since its start."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # begins with CUDA if nobody has: else there may be no count to be reset
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # missing, or read-only as in some containers
        CLEAR_REFS.write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int:
    """Peak in bytes since `forget_peak_memory`: of the allocator on a GPU, of the whole process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peaks = [1024 * int(line.split()[1]) for line in _lines(STATUS) if line.startswith("VmHWM")]
    return peaks[0] if peaks else _peak_since_start()


def _peak_since_start() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT
