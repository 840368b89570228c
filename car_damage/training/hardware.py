"""What this machine does well, and making a run repeatable on it."""

from pathlib import Path

import keras
import tensorflow as tf

CPU_FLAGS = Path("/proc/cpuinfo")  # Linux only; elsewhere float32 is used
TENSOR_CORES_WITH_BFLOAT16 = (8, 0)  # compute capability: NVIDIA's Ampere


def set_up(seed: int) -> None:
    """Seed everything that draws numbers, and train in bfloat16 where that is fast."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if fast_bfloat16() else "float32")


def fast_bfloat16() -> bool:
    """Whether the GPU, or without one the CPU's matrix unit (AMX), multiplies bfloat16 fast.

    AVX-512's bfloat16 instructions alone gain too little over float32 to give up its digits.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0)) >= TENSOR_CORES_WITH_BFLOAT16
    return CPU_FLAGS.exists() and "amx_bf16" in CPU_FLAGS.read_text(encoding="ascii")
