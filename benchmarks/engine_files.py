"""Convert a SavedModel for other engines; runs in the environment of `peers/engines.txt`.

    python benchmarks/engine_files.py FOLDER

Reads `saved/` and `calibration.npy`, `uint8` (k, size, size, 3), in the folder. Writes
`float32.onnx`, and `float32.xml` and `int8.xml` for OpenVINO.
"""

import subprocess
import sys
from pathlib import Path

import nncf
import numpy as np
import openvino

OPSET = 18  # the newest that tf2onnx 1.17 writes
# The head and the embedding stay in float, as in `car_damage/release/tflite.py`.
FLOAT_OPERATIONS = ["MatMul", "ReduceMean", "Subtract", "Multiply", "Power"]


def main() -> None:
    """Write all three."""
    folder = Path(sys.argv[1])
    onnx = ["--saved-model", folder / "saved", "--output", folder / "float32.onnx"]
    command = [sys.executable, "-m", "tf2onnx.convert", *onnx, "--opset", str(OPSET)]
    subprocess.run(command, check=True)
    graph = openvino.convert_model(folder / "saved")
    openvino.save_model(graph, folder / "float32.xml", compress_to_fp16=False)
    photos = np.load(folder / "calibration.npy")
    calibration = nncf.Dataset([photo[np.newaxis] for photo in photos])
    in_float = nncf.IgnoredScope(types=FLOAT_OPERATIONS)
    quantised = nncf.quantize(graph, calibration, subset_size=len(photos), ignored_scope=in_float)
    openvino.save_model(quantised, folder / "int8.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
