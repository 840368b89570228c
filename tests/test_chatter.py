import subprocess
import sys

from car_damage import paths

LOADS_TENSORFLOW = """
import sys
from car_damage.chatter import without_chatter
with without_chatter():
    import tensorflow
    print("a real problem", file=sys.stderr)
"""


def test_tensorflow_is_loaded_without_its_chatter_and_other_lines_are_kept():
    done = subprocess.run(
        [sys.executable, "-c", LOADS_TENSORFLOW], cwd=paths.ROOT, capture_output=True, text=True
    )
    assert done.stderr == "a real problem\n"
