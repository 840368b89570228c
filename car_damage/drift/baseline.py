"""The photos that later ones are compared with, as averages of blocks of neighbouring photos.

Neighbouring photos often show the same car, from the same phone, so they resemble each other. So
blocks of neighbouring photos, not single photos, are drawn and exchanged to find out what chance
does (block bootstrap: Künsch 1989, https://doi.org/10.1214/aos/1176347265). Only the blocks'
averages are stored, so a photo can be deleted later and nothing of it stays.
"""

import io
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from car_damage.drift.features import ANSWERS, MEASURED, Components, Photos

PHOTOS = 2000  # of a baseline
BLOCK = 50  # neighbouring photos
STEPS = 100  # of a distribution function
WAVES = 256  # random Fourier features of the kernel
DRAWS = 1000  # of the bootstrap
AT = 200  # photos: the number for which `Baseline.chance` holds
QUANTILE = 0.99  # of the differences that chance makes


@dataclass(frozen=True)
class Averages:
    """The averages of b blocks of photos."""

    shares: np.ndarray  # float32 (b, f, STEPS): share of photos at or below each step
    waves: np.ndarray  # float32 (b, WAVES): the mean in the kernel's space
    sizes: np.ndarray  # int64 (b,): photos

    @property
    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """The shares, float64 (f, STEPS), and the mean in the kernel's space of all photos."""
        weights = self.sizes / self.sizes.sum()
        return np.tensordot(weights, self.shares, 1), weights @ self.waves


@dataclass(frozen=True)
class Baseline:
    """A baseline of photos. `names` are those of the f compared numbers."""

    names: tuple[str, ...]
    components: Components
    steps: np.ndarray  # float64 (f, STEPS): the places at which distributions are compared
    width: float  # of the kernel: the median distance between two photos
    averages: Averages
    chance: np.ndarray  # float64 (f + 1,): how different `AT` photos are from all by chance

    @classmethod
    def of(cls, photos: Photos, seed: int = 0) -> Self:
        """Make a baseline."""
        components = Components.fit(photos.embeddings)
        names = (*MEASURED, *ANSWERS, *components.names)
        table = table_of(photos, components, names)
        steps = _steps(table, names)
        width = _median_distance(components.of(photos.embeddings), seed)
        nothing = Averages(np.zeros(0), np.zeros(0), np.zeros(0))
        made = cls(names, components, steps, width, nothing, np.zeros(0))
        made = replace(made, averages=made.averages_of(photos))
        return replace(made, chance=_chance(made.averages, seed))

    def to_bytes(self) -> bytes:
        """The baseline as an NPZ file; about 600 kB."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            names=np.array(self.names),
            steps=self.steps,
            width=np.array(self.width),
            chance=self.chance,
            **{f"components_{name}": value for name, value in vars(self.components).items()},
            **{f"averages_{name}": value for name, value in vars(self.averages).items()},
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` returned."""
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return cls(
                tuple(map(str, stored["names"])),
                Components(*(stored[f"components_{name}"] for name in ("mean", "rows", "scales"))),
                stored["steps"],
                float(stored["width"]),
                Averages(*(stored[f"averages_{name}"] for name in ("shares", "waves", "sizes"))),
                stored["chance"],
            )

    @property
    def count(self) -> int:
        """The number of photos."""
        return int(self.averages.sizes.sum())

    def averages_of(self, photos: Photos) -> Averages:
        """The averages of neighbouring photos."""
        table = table_of(photos, self.components, self.names)
        waves = waves_of(self.components.of(photos.embeddings), self.width)
        blocks = np.array_split(np.arange(len(photos)), max(1, len(photos) // BLOCK))
        shares = np.stack([_shares(table[block], self.steps) for block in blocks])
        return Averages(
            shares.astype(np.float32),
            np.stack([waves[block].mean(axis=0) for block in blocks]),
            np.array([len(block) for block in blocks]),
        )


def differences_of(
    shares: np.ndarray, waves: np.ndarray, other_shares: np.ndarray, other_waves: np.ndarray
) -> np.ndarray:
    """How different averages are, float64 (f + 1,): each number's Kolmogorov-Smirnov distance, 0 to
    1, and last the maximum mean discrepancy (Gretton et al. 2012) in the kernel's space.

    The kernel is Gaussian, approximated by random Fourier features (Rahimi and Recht 2007,
    https://papers.nips.cc/paper/3182), so that averages of blocks are enough to compute it.
    """
    largest = np.abs(shares - other_shares).max(axis=-1)
    discrepancy = np.linalg.norm(waves - other_waves, axis=-1)
    return np.concatenate([largest, discrepancy[..., np.newaxis]], axis=-1)


def _steps(table: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Quantiles of each number, and the places just below them, ascending: float64 (f, STEPS).

    Without the places below, a number that was always the same could only be seen to grow.
    """
    quantiles = np.quantile(table, np.linspace(0, 1, STEPS // 2 + 2)[1:-1], axis=0).T
    steps = np.sort(np.concatenate([quantiles, np.nextafter(quantiles, -np.inf)], axis=1), axis=1)
    steps[[name in ANSWERS for name in names]] = 0  # the share at or below it answers no
    return steps


def table_of(photos: Photos, components: Components, names: tuple[str, ...]) -> np.ndarray:
    """The compared numbers of photos, float64 (n, f)."""
    columns = dict(zip(MEASURED, photos.measured.T, strict=True))
    columns |= dict(zip(ANSWERS, photos.answers.T, strict=True))
    columns |= dict(zip(components.names, components.of(photos.embeddings).T, strict=True))
    return np.column_stack([columns[name] for name in names]).astype(float)


def _shares(table: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The share of the rows that is at or below each step, float64 (f, STEPS)."""
    return np.stack(
        [
            np.searchsorted(np.sort(column), places, side="right") / len(column)
            for column, places in zip(table.T, steps, strict=True)
        ]
    )


def waves_of(components: np.ndarray, width: float) -> np.ndarray:
    """Random Fourier features, float32 (n, WAVES), the same for every call."""
    random = np.random.default_rng(0)
    directions = random.standard_normal((components.shape[1], WAVES)) / width
    phases = random.uniform(0, 2 * np.pi, WAVES)
    waves = np.cos(components @ directions + phases) * np.sqrt(2 / WAVES)
    return waves.astype(np.float32)


def _median_distance(components: np.ndarray, seed: int) -> float:
    """The median distance between two photos, for the kernel's width (Gretton et al. 2012)."""
    random = np.random.default_rng(seed)
    one, other = random.integers(len(components), size=(2, 2000))
    apart = np.linalg.norm(components[one] - components[other], axis=1)
    return float(np.median(apart)) or 1.0


def _chance(averages: Averages, seed: int) -> np.ndarray:
    """How different `AT` photos like these are from all of them by chance, float64 (f + 1,)."""
    random = np.random.default_rng(seed)
    blocks = len(averages.sizes)
    whole = averages.whole
    found = []
    for _ in range(DRAWS):
        drawn = random.integers(blocks, size=AT // BLOCK)
        shares, waves = averages.shares[drawn].mean(axis=0), averages.waves[drawn].mean(axis=0)
        found.append(differences_of(shares, waves, *whole))
    # The mean of all blocks was made of the drawn ones too, which makes differences smaller.
    return np.quantile(found, QUANTILE, axis=0) * np.sqrt(blocks / max(1, blocks - 1))
