"""Describes the machine that a measurement ran on."""

import os
import platform
import subprocess
from pathlib import Path


def describe_hardware() -> str:
    """Returns processor, cores, memory and GPUs of this machine, for a report.

    It does not ask TensorFlow, which would take the GPU's memory from the runs.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = ", ".join(_gpu_names()) or "no GPU"
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB of memory, {gpus}"


def _processor() -> str:
    """Returns the name of the processor."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    """Returns the names of NVIDIA's GPUs; none without their driver."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
