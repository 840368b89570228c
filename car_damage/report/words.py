"""What sections, figures and reasons are called in a report, for whoever is new to them."""

SECTIONS = {  # a section's title, a question for everyone, and what the field calls it
    "metrics": ("How good are the answers?", "Metrics with 95 % intervals"),
    "claims": ("What do these photos prove, and how many more would prove more?", "Sample size"),
    "cost": ("What do mistakes and checks cost?", "Expected cost"),
    "confusion": ("Which mistakes does it make?", "Confusion matrix"),
    "curves": (
        "Is the threshold well placed, and the probability true?",
        "ROC, precision and recall, calibration",
    ),
    "learning": ("How did the training go?", "Learning curves"),
    "slices": (
        "On which photos is it better, on which worse?",
        "Slices, data folders",
    ),
    "abroad": ("On sources the model never saw", "Cross-source validation"),
    "same_size_and_quality": (
        "Does it judge the car, or the size and quality of the photo?",
        "Same size and quality",
    ),
    "review": ("What can be decided without a person?", "Risk, coverage and review band"),
    "mistakes": ("Where is it most wrong, and least sure?", "Errors and heatmaps"),
    "attention": ("Does it look at the car?", "Attention"),
    "warnings": ("Does it notice what it does not know?", "Warnings"),
    "label_issues": ("Which labels look wrong?", "Label issues"),
    "data": ("What was it taught and tested with?", "Data and copies"),
    "comparison": ("Is it as good as another version?", "Non-inferiority"),
    "making": ("How was it made?", "Settings and fingerprints"),
    "next": ("What should I do next?", "In order of use"),
}
CLAIMED = {  # what a share is called where it is claimed, and of which photos it is the share
    "accuracy": ("accuracy", "in all"),
    "recall": ("damaged cars found", "of damaged cars"),
    "specificity": ("undamaged cars cleared", "of undamaged cars"),
    "decided": ("right without a person", "that need none"),
}

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
    "too_large": "too many megapixels",
    "too_complex": "the file takes too much time or memory to decode",
    "unreadable": "the file could not be read",
    "both_classes": "the same photo is also in the other class",
}
