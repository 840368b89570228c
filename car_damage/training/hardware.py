"""Settings for this machine: precision, memory and repeatable runs."""

import ctypes
import sys
from pathlib import Path

import keras
import tensorflow as tf

CPU_FLAGS = Path("/proc/cpuinfo")  # Linux only; elsewhere float32 is used
TENSOR_CORES_WITH_BFLOAT16 = (8, 0)  # compute capability: NVIDIA's Ampere

# glibc's constants for `mallopt` (malloc.h)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
MOST_KEPT = 2**31 - 1  # bytes; a C int holds no more
TOP_PAD = 64 * 1024 * 1024  # bytes


def set_up(seed: int) -> None:
    """Seed all random generators, and keep freed memory for the next step."""
    keep_freed_memory()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def choose_precision(dense: bool) -> None:
    """Train models that are built from now on in bfloat16, if that is fast on this machine.

    Their weights stay float32. `dense`: whether nearly all the work is ordinary convolutions.
    """
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if fast_bfloat16(dense) else "float32")


def fast_bfloat16(dense: bool) -> bool:
    """Check whether bfloat16 is fast on the GPU, or on the CPU of a machine without a GPU.

    A CPU with a matrix unit (AMX) always is. With AVX-512 only, bfloat16 speeds up ordinary
    convolutions (ResNet-50: 1.5 times as fast), but not depthwise ones, which wait for memory
    (MobileNetV2: 0.8 times).
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        capability: tuple[int, int] = details.get("compute_capability", (0, 0))
        return capability >= TENSOR_CORES_WITH_BFLOAT16
    flags = CPU_FLAGS.read_text(encoding="ascii").split() if CPU_FLAGS.exists() else []
    return "amx_bf16" in flags or (dense and "avx512_bf16" in flags)


def keep_freed_memory() -> None:
    """Let glibc, if present, keep freed memory instead of returning it to the system.

    Every training step frees and allocates the same hundreds of megabytes. If the system cleared
    them each time, that would take about as long as the arithmetic.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
        mallopt(M_TOP_PAD, TOP_PAD)
