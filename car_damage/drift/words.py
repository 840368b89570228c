"""What the compared numbers are called, for the screen and the report."""

from car_damage.drift.compare import Comparison
from car_damage.drift.features import ANSWERS

TITLES = {
    "log_odds": "log-odds of damage",
    "brightness": "brightness (0 to 255)",
    "sharpness": "sharpness (0 to 1)",
    "megapixels": "size in megapixels",
    "shape": "width divided by height",
    "bits_per_pixel": "file size in bits per pixel",
    "damaged": "classified as damaged",
    "review": "left to a person",
    "unfamiliar": "unfamiliar",
    "outside": "content (rest)",
    "kernel": "content (all together)",
    "classifier": "what a classifier tells apart",
    "accuracy": "accuracy on audited answers",
}


def title(name: str) -> str:
    """The name of a compared number."""
    if name.startswith("component_"):
        return f"content (component {name.removeprefix('component_')})"
    return TITLES[name]


def values(comparison: Comparison) -> tuple[str, str]:
    """The number before and now; empty if it has no unit that means anything."""
    name, before, now = comparison.name, comparison.before, comparison.now
    if before is None or now is None or name.startswith("component_") or name == "outside":
        return "", ""
    if name in ANSWERS or name == "accuracy":
        return f"{before:.1%}", f"{now:.1%}"
    return f"{before:.3g}", f"{now:.3g}"


def level(share: float) -> str:
    """How far photos are, by the share of them that is far from the training photos."""
    if share < 0.1:
        return "as near to the training photos as its validation photos"
    return (
        "somewhat far from the training photos" if share < 0.3 else "far from the training photos"
    )
