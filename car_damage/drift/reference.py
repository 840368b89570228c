"""What a version keeps of its training photos, to say how far other photos are from them.

`reference.npz` has a sample of the training images as whitened principal components (about 80 kB).
It contains no photo and no file name.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from scipy.spatial import cKDTree

from car_damage.drift.features import Components

SAMPLE = 1000  # training images
FAMILIAR = 0.95  # of the validation photos are nearer to the training images than `limit`
NEIGHBOURS = 5  # the distance is that to the fifth nearest, because one may be an odd photo
STORED = np.dtype("<f2")


@dataclass(frozen=True)
class Reference:
    """A sample of a version's training images, and how far unseen photos are from it."""

    components: Components
    sample: np.ndarray  # float32 (n, k + 1): as `Components.of` returns them
    limit: float  # the distance above which a photo counts as far

    @classmethod
    def of(cls, train: np.ndarray, val: np.ndarray, seed: int) -> Self:
        """The reference of embeddings of training images and validation photos, (n, d) each."""
        components = _halved(Components.fit(train))
        chosen = np.random.default_rng(seed).permutation(len(train))[:SAMPLE]
        sample = components.of(train[chosen]).astype(STORED).astype(np.float32)
        unlimited = cls(components, sample, np.inf)
        return cls(components, sample, float(np.quantile(unlimited.distances(val), FAMILIAR)))

    def distances(self, embeddings: np.ndarray) -> np.ndarray:
        """How far each embedding (n, d) is from the sample, float64 (n,)."""
        neighbours = min(NEIGHBOURS, len(self.sample))
        found, _ = cKDTree(self.sample).query(self.components.of(embeddings), k=[neighbours])
        return np.asarray(found)[:, 0]

    def to_bytes(self) -> bytes:
        """The content of `reference.npz`."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            mean=self.components.mean,
            scales=self.components.scales,
            limit=np.array(self.limit),
            rows=self.components.rows.astype(STORED),
            sample=self.sample.astype(STORED),
        )
        return file.getvalue()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a `reference.npz`."""
        with np.load(path, allow_pickle=False) as stored:
            parts = (stored[name].astype(np.float32) for name in ("mean", "rows", "scales"))
            return cls(
                Components(*parts), stored["sample"].astype(np.float32), float(stored["limit"])
            )


def _halved(components: Components) -> Components:
    """The components with rows as they are stored, in half precision."""
    return replace(components, rows=components.rows.astype(STORED).astype(np.float32))
