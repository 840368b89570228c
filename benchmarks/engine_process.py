"""One engine with one graph in its own process; `engines.py` starts it and tells it what to do.

    python benchmarks/engine_process.py ENGINE GRAPH THREADS PHOTOS.npy

Needs only NumPy and the engine, so that it runs in either environment. Answers with a line of JSON
each time: first, once the graph has run, with this process's memory in MB and the size of the
engine's package; then for each line on stdin: for a number, milliseconds of that many photos after
a few that do not count; for `logits`, the logits of all photos.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]  # photo, uint8 (1, size, size, 3), to logit, (1, 1)

WARM_UP = 5  # photos: another process has used the core's caches before
BEFORE_READY = 15  # more, so that engines that optimise or allocate late have done so
PACKAGES = {
    "litert": ["ai_edge_litert"],
    "onnxruntime": ["onnxruntime"],
    "openvino": ["openvino"],
    "keras": ["keras", "tensorflow"],
}


def litert(graph: str, threads: int) -> Run:
    """LiteRT with its default XNNPACK, as in `car_damage/predictor.py`."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=graph, num_threads=threads)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner("serving_default")
    return lambda photo: run(photo=photo)["logit"]


def onnxruntime(graph: str, threads: int) -> Run:
    """ONNX Runtime on the CPU with all optimisations, which is its default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]  # all of them, as the service needs
    return lambda photo: session.run(names, {"photo": photo})[names.index("logit")]


def openvino(graph: str, threads: int, precision: str) -> Run:
    """OpenVINO for one photo at a time, computing in `precision` what is not quantised."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()
    return lambda photo: request.infer({"photo": photo})["logit"]


def keras(graph: str, threads: int, predict: bool) -> Run:
    """The Keras model, called with `predict` or as a compiled function."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.keras.models.load_model(graph, compile=False)
    if predict:
        return lambda photo: model.predict(photo, verbose=0)["logit"]
    compiled = tf.function(lambda photo: model(photo, training=False), autograph=False)
    return lambda photo: compiled(tf.constant(photo))["logit"].numpy()


ENGINES: dict[str, Callable[[str, int], Run]] = {
    "keras-predict": lambda graph, threads: keras(graph, threads, predict=True),
    "keras-function": lambda graph, threads: keras(graph, threads, predict=False),
    "litert": litert,
    "onnxruntime": onnxruntime,
    "openvino": lambda graph, threads: openvino(graph, threads, "f32"),
    "openvino-bf16": lambda graph, threads: openvino(graph, threads, "bf16"),
}


def memory() -> dict[str, float]:
    """This process's resident memory and its peak, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    names = {"resident_mb": "VmRSS", "peak_mb": "VmHWM"}
    return {ours: int(sizes[name].split()[0]) * 1024 / 1e6 for ours, name in names.items()}


def installed_mb(engine: str) -> float:
    """The size of the engine's own packages, without what they require."""
    folders = [
        Path(str(sys.modules[package].__file__)).parent
        for package in PACKAGES[engine.partition("-")[0]]
    ]
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files) / 1e6


def milliseconds(run: Run, photos: np.ndarray, count: int) -> list[float]:
    """The times of `count` photos, one after the other."""
    times = []
    for number in range(WARM_UP + count):
        photo = np.array(photos[number % len(photos)])[np.newaxis]
        begun = time.perf_counter()
        run(photo)
        times.append(1000 * (time.perf_counter() - begun))
    return times[WARM_UP:]


def main() -> None:
    """Load the graph, then answer until stdin is closed."""
    engine, graph, threads, path = sys.argv[1:]
    photos = np.load(path, mmap_mode="r")  # photos that have not been read take no memory
    run = ENGINES[engine](graph, int(threads))
    milliseconds(run, photos[:1], BEFORE_READY)
    print(json.dumps(memory() | {"installed_mb": installed_mb(engine)}), flush=True)
    for line in sys.stdin:
        if line.strip() == "logits":
            answer = [float(run(np.array(photo)[np.newaxis])[0, 0]) for photo in photos]
        else:
            answer = milliseconds(run, photos, int(line))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
