import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from car_damage import model_store
from car_damage.dataset.arrays import write_table
from car_damage.decision import Decision
from car_damage.errors import UserError, exit_code
from car_damage.evaluation.comparison import (
    AgainstCurrent,
    Comparison,
    Difference,
    write_comparison,
)
from car_damage.evaluation.label_issues import LabelIssue, write_label_issues
from car_damage.evaluation.predictions import PredictionRow
from car_damage.manifest import (
    AttentionMetrics,
    ClassMetrics,
    CrossSourceMetrics,
    Decided,
    DecidedEstimate,
    Estimate,
    GreyedMiddle,
    LogitScale,
    Metrics,
    MetricSet,
    ReviewMetrics,
    SourceMetrics,
    TrainingSettings,
    WorstSource,
)
from car_damage.report import analysis, formats
from car_damage.report.__main__ import main
from car_damage.report.page import write_report
from car_damage.report.results import read_results
from car_damage.report.side_by_side import write_side_by_side
from tests import tiny_model
from tests.images import config_of
from tests.photo_files import write_photos

VERSION = "20260311-1402-0a1b"
EARLIER = "20260301-0800-0001"

# Eight test photos; at a threshold of 0.5, two are classified wrongly.
PROBABILITIES = [0.99, 0.9, 0.8, 0.6, 0.45, 0.2, 0.1, 0.02]
DAMAGED = [True, True, True, False, True, False, False, False]


def fig(value, low, high):
    return Estimate(value=value, low=low, high=high)


def of_class(count, accuracy):
    return ClassMetrics(count=count, accuracy=fig(accuracy, accuracy - 0.05, accuracy + 0.05))


METRICS = Metrics(
    photos=MetricSet(
        count=8,
        accuracy=fig(0.75, 0.625, 0.875),
        false_negative_rate=fig(0.25, 0.0, 0.5),
        roc_auc=fig(0.9375, 0.81, 1.0),
        ece=fig(0.123, 0.1, 0.2),
    ),
    close_ups=MetricSet(count=4, accuracy=fig(0.96, 0.9, 1.0)),
    slices={
        "dark": MetricSet(
            count=30,
            damaged=20,
            accuracy=fig(0.61, 0.5, 0.7),
            false_negative_rate=fig(0.31, 0.2, 0.4),
            specificity=fig(None, None, None),
        )
    },
    data_folders={"damaged/garage": MetricSet(count=50, accuracy=fig(0.71, 0.6, 0.8))},
    abroad=CrossSourceMetrics(
        count=1300,
        folds=(("auction", "dealers"), ("crashes", "roads")),
        balanced_accuracy=fig(0.855, 0.8, 0.91),
        recall=fig(0.872, 0.81, 0.93),
        specificity=fig(0.838, 0.74, 0.92),
        ece=fig(0.056, 0.04, 0.08),
        review_target=0.975,
        review=DecidedEstimate(decided=fig(0.723, 0.6, 0.8), accuracy=fig(0.976, 0.95, 0.99)),
        sources={
            "auction": SourceMetrics(fold=0, damaged=of_class(900, 0.93)),
            "roads": SourceMetrics(
                fold=1, damaged=of_class(9, 0.11), not_damaged=of_class(391, 0.66)
            ),
        },
        worst_source=WorstSource(
            source="roads", label="not_damaged", **of_class(391, 0.66).model_dump()
        ),
        roc_auc_by_fold=(0.971, None),
        logit_scale=LogitScale(factor=0.8, offset=0.1),
        threshold=0.461,
        home_threshold=0.512,
    ),
    same_size_and_quality=MetricSet(count=8, accuracy=fig(0.737, 0.6, 0.85)),
    review=ReviewMetrics(
        target=0.99,
        val=Decided(decided=0.81, accuracy=0.992),
        test=DecidedEstimate(decided=fig(0.77, 0.7, 0.8), accuracy=fig(0.983, 0.97, 0.99)),
    ),
    attention=AttentionMetrics(
        border_share=fig(0.14, 0.1, 0.2),
        border_area=0.36,
        greyed_middle=GreyedMiddle(
            count=8,
            unsure_before=0.05,
            unsure_after=0.68,
            confident_damaged_before=0.5,
            confident_damaged_after=0.07,
        ),
    ),
    warnings={"unseen_cars": {"unfamiliar": 0.013}, "no_cars": {"unfamiliar": 0.94}},
)
FEW = Metrics(photos=MetricSet(count=8, accuracy=fig(0.5, 0.4, 0.6)))
SETTINGS = TrainingSettings(unfreeze="<b>4", epochs=1, learning_rate=1e-3, batch_size=8, seed=0)
DATASET = config_of(
    fingerprint="fe" * 32,
    counts={"test": {"damaged": 4, "not_damaged": 4, "close_ups": 4}},
    rejected={"too_small": 3},
    copies={"groups_of_copies": 41, "photos_in_them": 1204},
)
TABLES = ("predictions.csv", "history.csv", "label_issues.csv")
HISTORY = "epoch,accuracy,loss,val_accuracy,val_loss\n1,0.7,0.6,0.75,0.5\n2,0.8,0.4,0.85,0.3\n"
SECTIONS = [
    *("metrics", "confusion", "curves", "learning", "slices", "abroad", "same_size_and_quality"),
    *("review", "attention", "warnings", "label_issues", "data", "making", "next"),
]


def add(
    models, version=VERSION, photos="car", probabilities=PROBABILITIES, threshold=0.5, **changes
):
    """Put a version with made-up results into `models`; its photo names start with `photos`."""
    entries = {"metrics": METRICS, "dataset": DATASET, "review_band": (0.3, 0.7), **changes}
    band = entries.pop("review_band")
    decision = Decision(temperature=2.0, threshold=threshold, review_band=band)
    tiny_model.add_version(models, b"no graph", version, decision, **entries)
    rows = [
        prediction(f"{photos}{at}.jpg", damaged, probability)
        for at, (damaged, probability) in enumerate(zip(DAMAGED, probabilities, strict=True))
    ]
    rows.append(prediction(f"{photos}0.jpg", False, 0.97, "close_up"))
    write_table(models / version / "predictions.csv", rows, PredictionRow)
    write_label_issues(models / version, label_issues(photos))
    (models / version / "history.csv").write_text(HISTORY, encoding="utf-8")
    return version


def label_issues(photos):
    return [LabelIssue(f"{photos}{at}.jpg", "damaged", "not-damaged", at / 100) for at in range(25)]


def prediction(path, damaged, probability, kind="photo"):
    label = "damaged" if damaged else "not-damaged"
    return PredictionRow("test", path, label, kind, path, 400, 300, probability)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of made-up results, without photos, as HTML."""
    models = tmp_path_factory.mktemp("models")
    return write_report(models, add(models), with_photos=False).read_text(encoding="utf-8")


class Outline(HTMLParser):
    """A page's elements, text and sections."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())
        self.sections = [each.get("id") for tag, each in self.elements if tag == "section"]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]


def outline(path):
    return Outline(path.read_text(encoding="utf-8"))


def rows(damaged=DAMAGED, probabilities=PROBABILITIES):
    return [
        prediction(str(at), truth, probability)
        for at, (truth, probability) in enumerate(zip(damaged, probabilities, strict=True))
    ]


def probabilities_of(chosen):
    return [row.probability for row in chosen]


def at(threshold):
    return Decision(temperature=1.0, threshold=threshold)


# Analysis of predictions


def test_the_confusion_matrix_counts_photos_by_label_and_prediction():
    assert analysis.confusion_matrix(rows(), at(0.46)) == [[3, 1], [1, 3]]
    assert analysis.confusion_matrix(rows(), at(0.45)) == [[3, 1], [0, 4]]  # at the threshold


def test_the_confusion_matrix_of_one_class_has_an_empty_row():
    assert analysis.confusion_matrix(rows([True], [0.5]), at(0.5)) == [[0, 0], [0, 1]]


def test_the_worst_mistakes_are_the_most_confident_ones():
    assert probabilities_of(analysis.most_wrong(rows(), at(0.5), 8)) == [0.6, 0.45]
    assert probabilities_of(analysis.most_wrong(rows(), at(0.5), 1)) == [0.6]


def test_the_least_certain_predictions_are_closest_to_the_threshold():
    assert probabilities_of(analysis.least_sure(rows(), at(0.5), 2)) == [0.45, 0.6]
    assert probabilities_of(analysis.least_sure(rows(), at(0.9), 2)) == [0.9, 0.8]


@pytest.mark.parametrize(
    ("damaged", "probabilities", "decided", "accuracy"),
    [
        # First both photos at 0.9, then 0.3, then 0.6, which is the least certain and wrong
        ([True, False, True, False], [0.9, 0.6, 0.9, 0.3], [2 / 4, 3 / 4, 1], [1, 1, 3 / 4]),
        ([True, True], [1.0, 0.0], [1], [0.5]),  # both fully certain
    ],
)
def test_the_coverage_curve_decides_the_most_certain_photos_first(
    damaged, probabilities, decided, accuracy
):
    curve = analysis.coverage_curve(rows(damaged, probabilities), at(0.5))
    np.testing.assert_allclose(curve, [decided, accuracy])


@pytest.mark.parametrize(
    ("earlier", "only_new", "only_current"),
    [
        # Only the new one: 0.9 and 0.8 damaged, 0.2 and 0.1 undamaged. Only the earlier one: 0.6.
        ({"probabilities": [0.99, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.02]}, 4, 1),
        ({"threshold": 0.95}, 2, 1),
    ],
)
def test_a_comparison_uses_the_predictions_of_both_versions(
    tmp_path, earlier, only_new, only_current
):
    add(tmp_path, EARLIER, **earlier)
    new = read_results(tmp_path, add(tmp_path))
    found = analysis.against(new, read_results(tmp_path, EARLIER)).accuracy
    assert (found.only_new, found.only_current) == (only_new, only_current)


# Text of the page


def test_the_report_has_a_section_for_everything_that_was_measured(page):
    assert Outline(page).sections == SECTIONS


@pytest.mark.parametrize(
    "said",
    [
        "On 8 photos it had never seen, the model was right 75.0 % (62.5–87.5 %) of",  # noqa: RUF001
        "missed 25.0 % (0.0–50.0 %) of the damaged cars",  # noqa: RUF001
        "ROC AUC how often a damaged car gets a higher probability than an undamaged one 0.938",
        "4 close-ups cut out of photos of undamaged cars. It correctly classified 96.0 % (90.0",
        "Actually not damaged 3 75.0 % 1 25.0 % Actually damaged 1 25.0 % 3 75.0 %",
        "dark 30 photos, 20 damaged 61.0 % 50.0–70.0 % 31.0 % 20.0–40.0 % –",  # noqa: RUF001
        "damaged/garage 50 photos 71.0 %",
        "recognised 87.2 % (81.0–93.0 %) of the damaged cars",  # noqa: RUF001
        "The mean of both is 85.5 % (80.0–91.0 %)",  # noqa: RUF001
        "72.3 % (60.0–80.0 %) of the photos are decided without a person",  # noqa: RUF001
        "worst on the undamaged cars from roads. It classifies 66.0 % (61.0–71.0 %) of 391",  # noqa: RUF001
        "auction 1 93.0 % 88.0–98.0 % 900 photos none",  # noqa: RUF001
        "roads 2 9 photos: too few 66.0 %",
        "73.7 % 60.0–85.0 % \N{MINUS SIGN}1.3",  # noqa: RUF001
        "from 30.0 % to below 70.0 % need a person",
        "77.0 % (70.0–80.0 %) of the test photos are decided without a person",  # noqa: RUF001
        "14.0 % (10.0–20.0 %) of the evidence for damage is at the photo’s border",  # noqa: RUF001
        "68.0 % of the answers are unsure, compared with 5.0 % before",
        "unfamiliar 1.3 % 94.0 %",
        "label_issues.csv lists 25 such photos",
        "3: a side is under 64 pixels",
        "1,204 photos are in 41 groups of copies",
        "Backbone tiny",
        "fe" * 32,
    ],
)
def test_the_page_has_every_figure(page, said):
    assert said in Outline(page).text


def test_a_bar_shows_the_figure_and_its_interval_on_its_columns_scale(page):
    # Slice "dark", 61 % (50 to 70 %), on a scale from 50 to 70 %
    assert re.search(r'left:0.0%;right:0.0%"></span>\s*<span class="dot" style="--at:55.0%', page)


def test_a_version_without_results_still_has_a_report(tmp_path):
    tiny_model.add_version(tmp_path, b"no graph", metrics=Metrics())
    found = outline(write_report(tmp_path, VERSION, with_photos=False))
    assert found.sections == ["making", "next"]
    assert "This version has no test results." in found.text


def test_the_report_warns_if_only_known_sources_were_tested(tmp_path, page):
    version = add(tmp_path, metrics=METRICS.model_copy(update={"abroad": None}))
    found = outline(write_report(tmp_path, version, with_photos=False))
    assert "abroad" not in found.sections
    assert "Expect more mistakes on photos from other sources" in found.text
    assert "Expect more mistakes on photos from other sources" not in page


def test_a_share_of_fewer_than_ten_photos_is_shown_as_too_few(tmp_path):
    shares = {name: fig(0.5, 0.2, 0.8) for name in ("accuracy", "false_negative_rate")}
    slices = {
        "dark": MetricSet(count=9, damaged=4, **shares, specificity=fig(0.5, 0.2, 0.8)),
        "bright": MetricSet(count=19, damaged=9, **shares, specificity=fig(0.9, 0.6, 1.0)),
        "small": MetricSet(count=10, damaged=10, **shares, specificity=fig(None, None, None)),
    }
    folders = {
        "few": MetricSet(count=9, accuracy=fig(1.0, 0.66, 1.0)),
        "enough": MetricSet(count=10, accuracy=fig(1.0, 0.69, 1.0)),
    }
    metrics = METRICS.model_copy(update={"slices": slices, "data_folders": folders})
    found = outline(write_report(tmp_path, add(tmp_path, metrics=metrics), with_photos=False)).text
    assert "dark 9 photos, 4 damaged too few too few too few" in found
    assert "bright 19 photos, 9 damaged 50.0 % 20.0–80.0 % too few 90.0 %" in found  # noqa: RUF001
    assert "small 10 photos, 10 damaged 50.0 % 20.0–80.0 % 50.0 % 20.0–80.0 % –" in found  # noqa: RUF001
    assert "few 9 photos too few" in found
    assert "enough 10 photos 100.0 %" in found


@pytest.mark.parametrize("ends", [None, 1.0], ids=["current format", "earlier format"])
def test_the_report_says_that_a_figure_without_an_interval_is_not_certain(tmp_path, ends):
    photos = METRICS.photos.model_copy(update={"roc_auc": fig(1.0, ends, ends)})
    version = add(tmp_path, metrics=METRICS.model_copy(update={"photos": photos}))
    found = outline(write_report(tmp_path, version, with_photos=False)).text
    assert "than an undamaged one 1.000 " in found
    assert "1.000–1.000" not in found  # noqa: RUF001
    assert "they cannot show how certain it is" in found


def test_the_report_does_not_mention_missing_intervals_if_none_is_missing(page):
    assert "they cannot show how certain it is" not in Outline(page).text


@pytest.mark.parametrize("part", [*Metrics.model_fields, *TABLES])
def test_a_missing_part_does_not_affect_the_others(tmp_path, part):
    metrics = METRICS.model_copy(update={part: None}) if part in Metrics.model_fields else METRICS
    version = add(tmp_path, metrics=metrics)
    if part.endswith(".csv"):
        (tmp_path / version / part).unlink()
    found = outline(write_report(tmp_path, version, with_photos=False)).sections
    assert len(found) >= len(SECTIONS) - 2  # two sections need predictions.csv


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"review_band": (0.0, 1.0)},
            "Every photo needs a person. No band leaves at least 66 of the",
        ),
        ({"review_band": (0.5, 0.5)}, "The band is empty: no photo needs a person"),
        ({"sample": True}, "The figures say nothing about real photos."),
        ({"settings": SETTINGS}, "unfreeze <b>4"),
    ],
)
def test_the_report_describes_special_cases(tmp_path, changes, said):
    page = write_report(tmp_path, add(tmp_path, **changes), with_photos=False).read_text("utf-8")
    assert said in Outline(page).text
    assert "<b>4" not in page  # settings are escaped


def validated_on(photos):
    """The metrics of a version with so many validation photos and no usable band."""
    val = Decided(photos=photos, decided=0.0, accuracy=None)
    review = METRICS.review.model_copy(update={"val": val})
    return METRICS.model_copy(update={"review": review})


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        (
            65,
            "because there are too few validation photos (65) to choose a band. A band must "
            "leave at least 66 of them to the model. That takes at least about 440 photos in all. "
            "This says nothing about how good the model is.",
        ),
        (66, "at least 66 of the 66 validation photos to the model with 99.0 % correct answers."),
        (1204, "66 of the 1,204 validation photos to the model with 99.0 % correct answers."),
    ],
)
def test_the_report_says_why_there_is_no_review_band(tmp_path, photos, said):
    version = add(tmp_path, metrics=validated_on(photos), review_band=(0.0, 1.0))
    found = outline(write_report(tmp_path, version, with_photos=False)).text
    assert said in found
    assert ("too few validation photos" in found) == (photos < 66)


def test_curves_that_need_both_classes_are_left_out_if_there_is_only_one(tmp_path):
    version = add(tmp_path)
    write_table(tmp_path / version / "predictions.csv", rows([True] * 8), PredictionRow)
    found = outline(write_report(tmp_path, version, with_photos=False))
    assert "All test photos are of the same class" in found.text
    assert "curves" in found.sections


@pytest.mark.parametrize(
    ("in_use", "rival"), [(None, EARLIER), (VERSION, EARLIER), (EARLIER, EARLIER)]
)
def test_a_version_is_compared_with_the_one_in_use_or_the_one_before(tmp_path, in_use, rival):
    add(tmp_path, EARLIER, probabilities=[0.99, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.02])
    add(tmp_path)
    if in_use:
        model_store.use(tmp_path, in_use)
    found = outline(write_report(tmp_path, VERSION, with_photos=False)).text
    assert f"this version is right on 6 and {rival} on 3" in found
    assert "This version looks worse." in found  # it decides two photos fewer alone


def promoted(models, current, labelled=None):
    """A version that promotion compared with `current` on photos other than its own.

    `labelled` is the number of labelled photos from the service that it compared apart.
    """
    version = add(models)
    accuracy = Difference(photos=120, new=113, current=111, only_new=4, margin=0.02)
    decided = Difference(photos=120, new=101, current=98, only_new=9, margin=0.05)
    feedback = None
    if labelled is not None:
        of_feedback = Difference(photos=labelled, new=20, current=12, only_new=9, margin=0.02)
        feedback = Comparison(of_feedback, of_feedback)
    against = AgainstCurrent(current, Comparison(accuracy, decided), feedback)
    write_comparison(models / version, against)
    return version


@pytest.mark.parametrize("in_use", [VERSION, EARLIER], ids=["took over", "did not"])
def test_the_report_compares_two_versions_as_promotion_did(tmp_path, in_use):
    add(tmp_path, EARLIER, photos="other")
    add(tmp_path, "20260305-0800-0002")  # between the two, and never compared
    version = promoted(tmp_path, EARLIER)
    model_store.use(tmp_path, in_use)
    found = outline(write_report(tmp_path, version, with_photos=False)).text
    said = f"On the same 120 test photos, this version is right on 113 and {EARLIER} on 111"
    assert said in found
    assert "has different test photos" not in found
    assert "it does not show which version is better" in found
    side = outline(write_side_by_side(tmp_path, [EARLIER, version])).text
    assert f"{VERSION} : accuracy +1.7 points" in side


@pytest.mark.parametrize(("photos", "counts"), [(29, False), (30, True)])
def test_the_report_compares_labelled_photos_apart_and_says_if_they_are_too_few(
    tmp_path, photos, counts
):
    add(tmp_path, EARLIER, photos="other")
    version = promoted(tmp_path, EARLIER, labelled=photos)
    model_store.use(tmp_path, EARLIER)
    found = outline(write_report(tmp_path, version, with_photos=False)).text
    said = f"on {photos} held-out photos that people have labelled, this version is right on 20 and"
    assert said in found
    assert ("These are too few to count." in found) is not counts


def test_the_error_names_a_comparison_that_has_changed(tmp_path):
    version = promoted(tmp_path, EARLIER)
    (tmp_path / version / "comparison.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"comparison\.json is not as training wrote it"):
        write_report(tmp_path, version, with_photos=False)


def test_the_report_of_the_included_version_is_outside_its_read_only_folder(tmp_path):
    add(tmp_path / "pretrained")
    path = write_report(tmp_path, VERSION, with_photos=False)
    assert path == tmp_path / f"report-{VERSION}.html"
    assert not list((tmp_path / "pretrained").rglob("*.html"))


def test_the_report_says_if_two_versions_cannot_be_compared(tmp_path):
    add(tmp_path, EARLIER, photos="other")
    found = outline(write_report(tmp_path, add(tmp_path), with_photos=False)).text
    assert f"Version {EARLIER} has different test photos" in found


def test_a_damaged_other_version_does_not_prevent_a_report(tmp_path):
    add(tmp_path, EARLIER)
    (tmp_path / EARLIER / "model.tflite").unlink()
    found = outline(write_report(tmp_path, add(tmp_path), with_photos=False))
    assert found.sections == SECTIONS


# Photos


@pytest.fixture
def photographed(models, tmp_path):
    """The tiny version with predictions for photos, one of which is missing."""
    paths = write_photos(tmp_path / "photos", 7, first_seed=0)
    named = [*(path.as_posix() for path in paths), "gone <b>away</b>.jpg"]
    folder = models / tiny_model.VERSION
    predictions = list(map(prediction, named, DAMAGED, PROBABILITIES))
    write_table(folder / "predictions.csv", predictions, PredictionRow)
    issues = [LabelIssue(path, "damaged", "not-damaged", 0.01) for path in named]
    write_label_issues(folder, issues)
    return models


def test_mistakes_are_shown_with_heatmaps_and_missing_photos_by_name(photographed):
    page = write_report(photographed, tiny_model.VERSION).read_text(encoding="utf-8")
    found = Outline(page)
    # 2 wrong and 7 of 8 unsure ones in pairs, and 7 of 8 with a doubtful label
    assert len(found.all("img")) == 2 * 2 + 2 * 7 + 7
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in found.all("img"))
    assert "Probability of damage 60.0 % , actually not damaged" in found.text
    assert found.text.count("This photo is missing or cannot be read.") == 2
    assert "gone <b>away</b>.jpg" in found.text
    assert "gone <b>" not in page  # names are escaped


def test_at_most_twenty_label_issues_are_shown(tmp_path, tiny_graph):
    tiny_model.add_version(tmp_path, tiny_graph)
    write_label_issues(tmp_path / tiny_model.VERSION, label_issues(""))
    found = outline(write_report(tmp_path, tiny_model.VERSION)).text
    assert "19.jpg" in found
    assert "20.jpg" not in found


def test_a_report_without_photos_has_no_photo_names_either(photographed):
    page = write_report(photographed, tiny_model.VERSION, with_photos=False).read_text()
    assert not any(trace in page for trace in ("<img", "data:image", ".jpg", "photos/"))


# The file


def test_the_page_needs_no_other_files(page):
    found = Outline(page)
    assert not found.all("script") + found.all("link") + found.all("iframe")
    links = [each[name] for _, each in found.elements for name in ("href", "src") if name in each]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "url(http" not in page
    assert "@import" not in page


def test_links_lead_to_sections_and_ids_are_unique(page):
    found = Outline(page)
    ids = [each["id"] for _, each in found.elements if "id" in each]
    assert {link["href"] for link in found.all("a")} == {f"#{name}" for name in SECTIONS}
    assert set(SECTIONS) < set(ids)
    outside_plots = [name for name in ids if not re.fullmatch(r"[mp][0-9a-f]{10}", name)]
    assert len(outside_plots) == len(set(outside_plots))


def test_tables_have_headers_and_pictures_have_alternative_texts(photographed):
    found = outline(write_report(photographed, tiny_model.VERSION))
    assert all(header.get("scope") for header in found.all("th"))
    assert all(len(image["alt"]) > 10 for image in found.all("img"))
    drawings = [svg for svg in found.all("svg") if svg.get("aria-hidden") != "true"]
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawings)
    assert [attributes["lang"] for attributes in found.all("html")] == ["en"]


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("paper", ["paper", "panel"])
@pytest.mark.parametrize("ink", ["ink", "muted", "series", "mark"])
def test_text_has_enough_contrast_in_both_colour_schemes(page, scheme, paper, ink):
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", light if scheme == "light" else dark))
    lights = sorted([luminance(colours[paper]), luminance(colours[ink])])
    assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5  # WCAG 2.2, 1.4.3, level AA


def test_a_version_stays_valid_if_its_report_is_written_or_changed(tmp_path):
    version = add(tmp_path)
    path = write_report(tmp_path, version, with_photos=False)
    assert path == tmp_path / version / "report.html"
    assert "report.html" not in model_store.load_record(tmp_path, version).manifest.files
    path.write_text("something else", encoding="utf-8")
    model_store.load_record(tmp_path, version)
    assert write_report(tmp_path, version, with_photos=False).stat().st_size > 1000
    assert not list((tmp_path / version).glob("*.partial"))


def test_the_error_names_a_table_that_has_changed(tmp_path):
    version = add(tmp_path)
    (tmp_path / version / "predictions.csv").write_text("split,path\ntest,a.jpg\n")
    with pytest.raises(UserError, match=r"predictions\.csv has changed since it was written"):
        write_report(tmp_path, version, with_photos=False)
    assert not (tmp_path / version / "report.html").exists()


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ("epoch,accuracy,loss,val_accuracy\n1,0.7,0.6,0.75\n", ": the column val_loss is missing."),
        ("accuracy,loss,val_accuracy,val_loss\n1,0.6,1,0.5\n", ": the column epoch is missing."),
        ("epoch,accuracy,loss,val_accuracy,val_loss\n1,high,0.6,0.7,0.5\n", "."),
        ("epoch,accuracy,loss,val_accuracy,val_loss\n1,0.7,0.6\n", "."),
    ],
    ids=["a column", "the epochs", "a number", "the end of a line"],
)
def test_the_error_says_what_is_missing_in_the_history(tmp_path, capsys, history, said):
    version = add(tmp_path)
    path = tmp_path / version / "history.csv"
    path.write_text(history, encoding="utf-8")
    assert run(version, "--models", tmp_path, "--no-photos") == 2
    wrong = f"error: {path} is not as training wrote it{said}"
    assert capsys.readouterr().err.startswith(f"{wrong} Restore it, or delete it")
    assert not (tmp_path / version / "report.html").exists()


@pytest.mark.filterwarnings("error")
def test_a_training_run_that_gave_nan_has_a_report(tmp_path):
    version = add(tmp_path)
    nothing = "epoch,accuracy,loss,val_accuracy,val_loss\n1,0.5,nan,0.5,nan\n2,0.5,nan,0.5,nan\n"
    (tmp_path / version / "history.csv").write_text(nothing, encoding="utf-8")
    assert "learning" in outline(write_report(tmp_path, version, with_photos=False)).sections


# The command line and several versions


def run(*arguments):
    return exit_code(lambda: main([str(argument) for argument in arguments]))


def test_the_command_writes_a_report_and_prints_its_path(tmp_path, capsys):
    version = add(tmp_path)
    assert run(version, version, "--models", tmp_path, "--no-photos") == 0
    assert f"Wrote {tmp_path / version / 'report.html'}." in capsys.readouterr().out


def test_several_versions_are_shown_side_by_side(tmp_path, capsys):
    add(tmp_path, EARLIER, threshold=0.95, metrics=FEW)
    add(tmp_path)
    assert run(EARLIER, VERSION, "--models", tmp_path) == 0
    path = tmp_path / f"report-{EARLIER}-{VERSION}.html"
    assert f"Wrote {path}." in capsys.readouterr().out
    found = outline(path)
    assert "Accuracy 50.0 % 40.0–60.0 % 75.0 % 62.5–87.5 %" in found.text  # noqa: RUF001
    assert "ROC AUC – 0.938" in found.text  # noqa: RUF001
    assert "dark – 61.0 %" in found.text  # noqa: RUF001
    assert "Undamaged cars recognised – 83.8 % 74.0–92.0 %" in found.text  # noqa: RUF001
    assert f"{VERSION} : accuracy +12.5 points" in found.text
    assert "different data sets" not in found.text
    assert ".jpg" not in path.read_text(encoding="utf-8")  # no photo names
    assert not (tmp_path / VERSION / "report.html").exists()


def test_a_slice_of_too_few_photos_is_not_compared(tmp_path):
    few = MetricSet(count=9, accuracy=fig(0.444, 0.1, 0.8))
    add(tmp_path, EARLIER, metrics=METRICS.model_copy(update={"slices": {"dark": few}}))
    found = outline(write_side_by_side(tmp_path, [EARLIER, add(tmp_path)])).text
    assert "dark – 61.0 %" in found  # noqa: RUF001
    assert "44.4 %" not in found


def test_the_page_warns_if_versions_have_different_data_sets(tmp_path):
    add(tmp_path, EARLIER, photos="other", dataset=config_of(fingerprint="ab" * 32))
    found = outline(write_side_by_side(tmp_path, [EARLIER, add(tmp_path)])).text
    assert "made with different data sets" in found
    assert f"{VERSION} has different test photos" in found


def test_an_unknown_version_is_an_error_of_one_line(tmp_path, capsys):
    version = add(tmp_path)
    for wrong in ([EARLIER], [version, EARLIER], ["latest"]):
        assert run(*wrong, "--models", tmp_path) == 2
        assert re.fullmatch(r"error: .*(no version|version name).*\n", capsys.readouterr().err)
    assert not list(tmp_path.rglob("report*"))


def test_more_versions_than_fit_on_a_page_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"9 versions do not fit on a page\. Name 8 or fewer\."):
        write_side_by_side(tmp_path, [VERSION] * 9)


def test_writing_a_report_does_not_import_tensorflow():
    code = (
        "import sys, car_damage.report.__main__\n"
        "print(sorted({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    root = Path(__file__).parents[2]
    made = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert made.stdout.strip() == "[]"


# Numbers


@pytest.mark.parametrize(
    ("figures", "ends"),
    [
        ([fig(0.97, 0.95, 0.99)], (0.9, 1.0)),
        ([fig(0.97, 0.89, 0.99), fig(0.31, 0.3, 0.4)], (0.3, 1.0)),
        ([fig(0.02, 0.0, 0.1)], (0.0, 0.1)),
        ([fig(1.0, 1.0, 1.0)], (0.9, 1.0)),
        ([fig(0.0, 0.0, 0.0)], (0.0, 0.1)),
        ([0.55], (0.5, 0.6)),
        ([fig(None, None, None), None], (0, 1)),
    ],
)
def test_a_scale_is_the_narrowest_in_steps_of_ten_percent(figures, ends):
    scale = formats.scale_for(figures)
    assert (scale.low, scale.high) == pytest.approx(ends)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), ([], "none"), ((1, "a"), "1, a"), (0.0001, "0.0001"), (1.0, "1")],
)
def test_settings_are_shown_as_text(value, text):
    assert formats.plain(value) == text
