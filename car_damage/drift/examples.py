"""Which photos show best what has moved."""

import numpy as np

from car_damage.drift.baseline import Baseline, table_of, waves_of
from car_damage.drift.compare import KERNEL, Comparison
from car_damage.drift.features import ANSWERS
from car_damage.drift.rows import Recorded


def typical(baseline: Baseline, compared: Recorded, moved: Comparison) -> list[str]:
    """The SHA-256s of photos, the most typical of a change first; each photo once."""
    recent = compared.photos.part(slice(-moved.photos, None))
    sha256s = compared.sha256s[-moved.photos :]
    if moved.name == KERNEL:
        order = np.argsort(-_witness(baseline, recent.embeddings))
    elif moved.name in baseline.names:
        place = baseline.names.index(moved.name)
        values = table_of(recent, baseline.components, baseline.names)[:, place]
        order = _beyond(baseline, place, values)
    else:
        return []
    return list(dict.fromkeys(sha256s[number] for number in order))


def farthest(compared: Recorded, distances: np.ndarray) -> list[str]:
    """The SHA-256s of photos, the one farthest from the training photos first; each once."""
    return list(dict.fromkeys(compared.sha256s[number] for number in np.argsort(-distances)))


def _witness(baseline: Baseline, embeddings: np.ndarray) -> np.ndarray:
    """How much more each place is visited than before: Gretton et al.'s witness function."""
    waves = waves_of(baseline.components.of(embeddings), baseline.width)
    return np.asarray(waves @ (waves.mean(axis=0) - baseline.averages.whole[1]))


def _beyond(baseline: Baseline, place: int, values: np.ndarray) -> np.ndarray:
    """The photos on the side where more are than before, those in its middle first."""
    steps, before = baseline.steps[place], baseline.averages.whole[0][place]
    shares = (values[:, np.newaxis] <= steps).mean(axis=0)
    at = int(np.abs(shares - before).argmax())
    is_beyond = values > steps[at] if shares[at] < before[at] else values <= steps[at]
    chosen = np.flatnonzero(is_beyond)
    if baseline.names[place] in ANSWERS or not len(chosen):
        return chosen
    apart = np.abs(values[chosen] - np.median(values[chosen]))
    return np.asarray(chosen[np.argsort(apart)])
