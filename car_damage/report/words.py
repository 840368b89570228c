"""What figures and reasons are called in a report, for whoever is new to them."""

MEANINGS = {  # a figure's title, whether it is a share, and what it says
    "accuracy": ("Accuracy", True, "photos classified correctly"),
    "recall": ("Recall", True, "damaged cars found"),
    "precision": ("Precision", True, "truly damaged among those classified as damaged"),
    "f1": ("F1", False, "recall and precision in one: their harmonic mean"),
    "roc_auc": (
        "ROC AUC",
        False,
        "how often a damaged car gets a higher probability than an undamaged one",
    ),
    "pr_auc": ("PR AUC", False, "average precision over all thresholds"),
    "false_negative_rate": ("Missed", True, "damaged cars classified as not damaged"),
    "ece": ("Calibration error", True, "how far the probabilities are off, on average"),
    "brier": ("Brier score", False, "mean squared error of the probability"),
}
HIGHER_IS_BETTER = ("accuracy", "recall", "precision", "f1", "roc_auc", "pr_auc")
LOWER_IS_BETTER = ("false_negative_rate", "ece", "brier")
OF_A_SLICE = {  # a figure's title, and of which photos it is the share
    "accuracy": ("Right", "of all"),
    "false_negative_rate": ("Missed", "of damaged"),
    "specificity": ("Cleared", "of undamaged"),
}
REASONS = {
    "empty": "the file is empty",
    "not_a_photo": "not a photo",
    "truncated": "the file is cut short or broken",
    "too_small": "a side is under 64 pixels",
    "too_large": "more than 50 megapixels",
    "unreadable": "the file could not be read",
    "both_classes": "the same photo is also in the other class",
}
