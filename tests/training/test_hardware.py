import subprocess
import sys

import pytest

from car_damage.training import hardware

FAULTS = """
import resource, sys
import numpy as np
from car_damage.training.hardware import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.empty(64_000_000, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
np.empty(64_000_000, np.uint8).fill(1)
after = faults()
print(before, after)
sys.exit(after > before / 4)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets up glibc")
def test_memory_that_a_training_step_frees_is_there_for_the_next():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("flags", "dense", "fast"),
    [
        ("avx512f avx512_bf16 amx_bf16", False, True),
        ("avx512f avx512_bf16", True, True),
        ("avx512f avx512_bf16", False, False),
        ("avx2 avx512f", True, False),
    ],
)
def test_bfloat16_is_chosen_where_the_processor_is_fast_at_it(
    flags, dense, fast, tmp_path, monkeypatch
):
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {flags} sse\n")
    monkeypatch.setattr(hardware, "CPU_FLAGS", tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware.tf.config, "list_physical_devices", lambda kind: [])
    assert hardware.fast_bfloat16(dense) is fast
