"""The names of sections, metrics and reasons in a report, with explanations for newcomers."""

SECTIONS = {  # a section's title, as a question that anyone understands, and the field's term
    "metrics": ("How accurate is the model?", "Metrics with 95 % intervals"),
    "claims": ("What do these photos show, and how many more are needed?", "Sample size"),
    "cost": ("What do mistakes and checks cost?", "Expected cost"),
    "confusion": ("Which mistakes does it make?", "Confusion matrix"),
    "curves": (
        "Are the threshold and the probabilities right?",
        "ROC, precision and recall, calibration",
    ),
    "learning": ("How did the training go?", "Learning curves"),
    "slices": (
        "Which photos is it good or bad at?",
        "Slices, data folders",
    ),
    "abroad": ("How good is it on photos from new sources?", "Cross-source validation"),
    "same_size_and_quality": (
        "Does it judge the car, or the size and quality of the photo?",
        "Same size and quality",
    ),
    "review": (
        "How many photos can be decided without a person?",
        "Risk, coverage and review band",
    ),
    "mistakes": ("What are its worst mistakes?", "Errors and heatmaps"),
    "attention": ("Does it look at the car?", "Attention"),
    "warnings": ("Does it notice photos that it cannot judge?", "Warnings"),
    "label_issues": ("Which labels look wrong?", "Label issues"),
    "data": ("Which photos was it trained and tested on?", "Data and copies"),
    "comparison": ("Is it as good as another version?", "Non-inferiority"),
    "making": ("How was it made?", "Settings and fingerprints"),
    "next": ("What should I do next?", "Next steps"),
}
CLAIMED = {  # the name of a share that people make claims about, and the photos it is a share of
    "accuracy": ("accuracy", "in all"),
    "recall": ("damaged cars recognised", "of damaged cars"),
    "specificity": ("undamaged cars recognised", "of undamaged cars"),
    "decided": ("correct without a person", "that need no person"),
}

MEANINGS = {  # a metric's title, whether it is a share, and what it means
    "accuracy": ("Accuracy", True, "photos classified correctly"),
    "recall": ("Recall", True, "damaged cars recognised as damaged"),
    "precision": ("Precision", True, "actually damaged, of those classified as damaged"),
    "f1": ("F1", False, "harmonic mean of recall and precision"),
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
OF_A_SLICE = {  # a metric's title, and the photos it is a share of
    "accuracy": ("Correct", "of all"),
    "false_negative_rate": ("Missed", "of damaged"),
    "specificity": ("Correct", "of undamaged"),
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
