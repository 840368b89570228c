"""The exported graph: its inputs and outputs, and agreement with the Keras model."""

import contextlib
import os

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from car_damage.release.precisions import PRECISIONS
from car_damage.release.tflite import in_float32, quiet, to_tflite
from car_damage.training import classifier as classifiers
from car_damage.training.backbones import named

BIAS = 0.25


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """A dozen smooth pictures of different colours; plain noise would have the same mean in all."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (12, 4, 4, 3))
    return np.kron(coarse, np.ones((1, 16, 16, 1), int)).astype(np.uint8)


@pytest.fixture(scope="module")
def model(photos) -> keras.Model:
    """The small backbone with random weights, and a head whose logits have a spread of about 1."""
    keras.utils.set_random_seed(1)
    model = classifiers.build(named("tiny"))
    features = classifiers.feature_extractor(model).predict(photos, verbose=0)
    kernel = np.random.default_rng(2).normal(size=features.shape[1])
    classifiers.set_head(model, kernel / np.std(features @ kernel), BIAS)
    return model


@pytest.fixture(scope="module")
def graphs(model, photos) -> dict[str, bytes]:
    """The exported graph in every precision."""
    return {precision: to_tflite(model, 64, precision, photos) for precision in PRECISIONS}


@pytest.fixture(scope="module", params=PRECISIONS)
def exported(request, graphs, photos) -> tuple[str, dict[str, np.ndarray]]:
    """A precision and that graph's outputs for all photos."""
    return request.param, predictions(graphs[request.param], photos)


def predictions(graph: bytes, photos: np.ndarray) -> dict[str, np.ndarray]:
    runner = Interpreter(model_content=graph).get_signature_runner("serving_default")
    outputs = [runner(photo=photo[np.newaxis]) for photo in photos]
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_graph_has_the_documented_inputs_and_outputs(precision, graphs):
    graph = Interpreter(model_content=graphs[precision])
    runner = graph.get_signature_runner("serving_default")

    photo = runner.get_input_details()["photo"]
    assert (tuple(photo["shape"]), photo["dtype"]) == ((1, 64, 64, 3), np.uint8)
    outputs = runner.get_output_details()
    shapes = {name: tuple(output["shape"]) for name, output in outputs.items()}
    assert shapes == {"logit": (1, 1), "heatmap": (1, 8, 8), "embedding": (1, 96)}
    assert {output["dtype"] for output in outputs.values()} == {np.float32}


def test_the_mean_of_the_heatmap_is_the_logit_minus_the_bias(exported):
    precision, outputs = exported
    mean = outputs["heatmap"].mean(axis=(1, 2))
    tolerance = 1e-2 if precision == "float16" else 1e-4  # half precision is used where it is fast
    np.testing.assert_allclose(mean, outputs["logit"][:, 0] - BIAS, atol=tolerance)


def test_the_graph_gives_the_same_answers_as_the_keras_model(exported, model, photos):
    precision, outputs = exported
    tolerance = {"int8": 0.3, "float16": 0.05, "float32": 1e-4}[precision]
    expected = model.predict(photos, verbose=0)["logit"]
    np.testing.assert_allclose(outputs["logit"], expected, atol=tolerance)


def test_the_embedding_is_each_features_standard_deviation(exported, model, photos):
    precision, outputs = exported
    features = keras.Model(model.input, model.get_layer(classifiers.POOLED).input)
    expected = np.std(features.predict(photos, verbose=0), axis=(1, 2))
    tolerance = {"int8": 0.05, "float16": 0.01, "float32": 1e-4}[precision]
    np.testing.assert_allclose(outputs["embedding"], expected, atol=tolerance * expected.max())


def test_int8_is_about_a_quarter_of_the_size_of_float32(graphs):
    assert len(graphs["int8"]) < 0.4 * len(graphs["float32"])


def test_a_model_trained_in_mixed_precision_is_exported_in_float32_and_unchanged(photos):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = classifiers.build(named("tiny"))
    finally:
        keras.mixed_precision.set_global_policy("float32")

    before = model.get_weights()
    exact = in_float32(model)
    assert {layer.compute_dtype for layer in exact.layers} == {"float32"}
    outputs = predictions(to_tflite(model, 64, "float32", photos), photos)
    expected = exact.predict(photos, verbose=0)["logit"]
    np.testing.assert_allclose(outputs["logit"], expected, atol=1e-4)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_converters_output_is_hidden_unless_it_fails(capfd):
    with quiet():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == ""

    with contextlib.suppress(RuntimeError), quiet():
        os.write(2, b"the reason")
        raise RuntimeError
    os.write(2, b", and stderr is back")
    assert capfd.readouterr().err == "the reason, and stderr is back"
