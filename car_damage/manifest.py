"""What is recorded of a version, with types."""

from pydantic import BaseModel


class TrainingSettings(BaseModel, frozen=True, extra="forbid"):
    """What decides, together with data set and initial weights, what is learnt."""

    unfreeze: str
    epochs: int
    sides: tuple[int, ...]  # pixels, of each epoch's images
    learning_rate: float
    batch_size: int
    seed: int
    keep: float = 0.0
    leave_out: tuple[str, ...] = ()


class WeightsOrigin(BaseModel, frozen=True, extra="forbid"):
    """Where the initial weights came from."""

    source: str  # `imagenet`, `none`, a file, or `<version>/model.keras`
    missing_layers: tuple[str, ...] = ()
