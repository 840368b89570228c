"""How right the answers were: GET /feedback/summary.

The photos with a label are a biased sample: people label the answers that the model was unsure of,
and clients complain about wrong ones. So the photos are divided into strata in which the labelled
ones are like the others, and each stratum counts with its share of all photos (Cochran, Sampling
Techniques, 3rd ed. 1977, chapters 5 and 5A.9: stratified sampling for proportions, and strata that
are known only after the sample was taken):

- sure answers, of which a random part was audited;
- unsure answers, by how unsure the model was, because the review takes the most unsure first;
- unsure answers on which a client sent its word: all have a label, and say nothing about others.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from flask import Response, g, jsonify
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Float, Select, and_, case, cast, func, not_, select

from car_damage.records.api import KEYED, REFUSALS, engine, records_api, visible_to
from car_damage.records.tables import feedback, predictions
from car_damage.service.openapi import VERSION, refusals
from car_damage.wording import counted

Z = 1.959964  # of a normal distribution's 95 % interval
SURE = 0  # the stratum of sure answers; those of unsure ones follow
STEP = 0.05  # sureness within one stratum of unsure answers
STEPS = 10  # strata up to the highest sureness, 0.5
VOLUNTEERED = STEPS + 1  # the last stratum


class Stratum(NamedTuple):
    """Photos that came to be labelled in the same way."""

    photos: int
    labelled: int  # a random part of the photos, or all
    correct: int  # of the labelled ones


class Estimate(NamedTuple):
    """The share of correct answers. `accuracy` is None if a stratum has no label at all."""

    accuracy: float | None
    low: float  # the 95 % interval, which allows for everything in strata without labels
    high: float


class Labels(BaseModel):
    """Photos with a person's word."""

    photos: int = Field(description="all photos of this kind")
    labelled: int = Field(description="those that a person called damaged or not damaged")
    correct: int = Field(description="those of them on which the model was right")


class WeekSummary(BaseModel):
    """How right a version was in one week."""

    model_version: str
    week: str = Field(description="ISO 8601 week in UTC, such as 2026-W48")
    photos: int = Field(ge=1)
    accuracy: float | None = Field(
        description="estimated share of correct answers among all photos; null if nothing is known "
        "about a part of them"
    )
    low: float = Field(description="lower end of its 95 % interval; without labels, 0")
    high: float = Field(description="upper end of its 95 % interval; without labels, 1")
    reason: str | None = Field(description="why accuracy is null, and what to do")
    promised: float = Field(description="the accuracy that the model's own probabilities promise")
    unsure: Labels = Field(description="answers with review: true; every label counts")
    audited: Labels = Field(
        description="all sure answers; labelled are only those drawn for an audit and reviewed"
    )
    volunteered: Labels = Field(
        description="sure answers outside audits with feedback from a client. It is not in the "
        "accuracy, because people send it mostly when the model is wrong"
    )
    cannot_tell: int = Field(description="reviewed photos on which a person could not tell")


class Summary(BaseModel):
    """How right the answers were, newest week first."""

    model_config = ConfigDict(
        openapi_extra={  # type: ignore[typeddict-unknown-key]  # flask-openapi3 documents it
            "examples": {
                "week": {
                    "value": {
                        "weeks": [
                            {
                                "model_version": VERSION,
                                "week": "2026-W48",
                                "photos": 4210,
                                "accuracy": 0.961,
                                "low": 0.943,
                                "high": 0.979,
                                "reason": None,
                                "promised": 0.968,
                                "unsure": {"photos": 381, "labelled": 360, "correct": 262},
                                "audited": {"photos": 3829, "labelled": 190, "correct": 187},
                                "volunteered": {"photos": 14, "labelled": 14, "correct": 3},
                                "cannot_tell": 9,
                            }
                        ]
                    }
                }
            }
        }
    )

    weeks: list[WeekSummary]


class Group(NamedTuple):
    """A row of the query: one stratum of one version and week."""

    model_version: str
    week: str
    stratum: int
    photos: int
    labelled: int
    correct: int
    volunteered: int  # of sure answers outside audits
    volunteered_correct: int
    cannot_tell: int
    promised: float  # sum of the probabilities that each answer is right


@records_api.get(
    "/feedback/summary",
    operation_id="feedback_summary",
    summary="How right were the predictions?",
    responses={200: Summary, **refusals(*REFUSALS)},
    security=KEYED,
)
def feedback_summary() -> Response:
    """Returns the accuracy by version and week, estimated from reviews, audits and feedback.

    People label mostly the photos that the model was unsure of. So each kind of photo counts with
    its share of all photos, and the interval allows for the photos without a label.
    """
    with engine().connect() as connection:
        groups = [Group._make(row) for row in connection.execute(_query())]
    weeks = [
        _week([*rows]) for _, rows in groupby(groups, lambda row: (row.week, row.model_version))
    ]
    return jsonify(Summary(weeks=weeks).model_dump())


def estimate(strata: Iterable[Stratum]) -> Estimate:
    """Return the share of correct answers among all photos of the strata.

    The variance of each stratum is that of a proportion with Agresti and Coull's two added
    successes and failures, because few labels that are all correct do not prove that all photos
    are. It shrinks with the labelled part of the stratum (finite population correction).
    """
    strata = [stratum for stratum in strata if stratum.photos]
    total = sum(stratum.photos for stratum in strata)
    known = variance = unknown = 0.0
    for photos, labelled, correct in strata:
        weight = photos / total
        if not labelled:
            unknown += weight
            continue
        known += weight * correct / labelled
        share = (correct + 2) / (labelled + 4)
        variance += weight**2 * share * (1 - share) / labelled * (1 - labelled / photos)
    half = Z * math.sqrt(variance)
    low, high = max(0.0, known - half), min(1.0, known + unknown + half)
    return Estimate(None if unknown else known, low, high)


def _week(groups: Sequence[Group]) -> WeekSummary:
    """Return the summary of one version's week."""
    strata = {group.stratum: Stratum(*group[3:6]) for group in groups}
    found = estimate(strata.values())
    sure = strata.get(SURE, Stratum(0, 0, 0))
    unsure = [stratum for number, stratum in strata.items() if number != SURE]
    photos = sum(group.photos for group in groups)
    volunteered = sum(group.volunteered for group in groups)
    return WeekSummary(
        model_version=groups[0].model_version,
        week=groups[0].week,
        photos=photos,
        accuracy=None if found.accuracy is None else round(found.accuracy, 4),
        low=round(found.low, 4),
        high=round(found.high, 4),
        reason=_reason(sure, unsure),
        promised=round(sum(group.promised for group in groups) / photos, 4),
        unsure=_labels(unsure),
        audited=_labels([sure]),
        volunteered=Labels(
            photos=volunteered,
            labelled=volunteered,
            correct=sum(group.volunteered_correct for group in groups),
        ),
        cannot_tell=sum(group.cannot_tell for group in groups),
    )


def _labels(strata: Sequence[Stratum]) -> Labels:
    return Labels(
        photos=sum(stratum.photos for stratum in strata),
        labelled=sum(stratum.labelled for stratum in strata),
        correct=sum(stratum.correct for stratum in strata),
    )


def _reason(sure: Stratum, unsure: Sequence[Stratum]) -> str | None:
    """Return the reason why the accuracy is unknown, or None if it is known."""
    if sure.photos and not sure.labelled:
        return (
            "No sure answer was audited and reviewed. Set AUDIT_SHARE, and review the audits at "
            "/review."
        )
    unknown = sum(stratum.photos for stratum in unsure if not stratum.labelled)
    if unknown:
        return (
            f"No photo with a similar probability as {counted(unknown, 'unsure answer')} was "
            "reviewed. Review more photos at /review."
        )
    return None


def _query() -> Select[tuple[object, ...]]:
    """Select the counts of each stratum that the caller may see, newest week first."""
    is_labelled = func.coalesce(feedback.c.label, "").in_(("damaged", "not_damaged"))
    is_correct = and_(is_labelled, feedback.c.label == predictions.c.prediction)
    by_itself = and_(is_labelled, not_(feedback.c.in_review))
    outside = and_(by_itself, not_(predictions.c.audit), not_(predictions.c.review))
    audited = and_(is_labelled, predictions.c.audit, feedback.c.in_review)
    counts = case((predictions.c.review, is_labelled), else_=audited)
    probability = predictions.c.probability
    promised = case((predictions.c.prediction == "damaged", probability), else_=1 - probability)
    stratum = _stratum(by_itself)
    columns = (
        stratum.label("stratum"),
        func.count(),
        _count(counts),
        _count(and_(counts, is_correct)),
        _count(outside),
        _count(and_(outside, is_correct)),
        _count(feedback.c.label == "cannot_tell"),
        func.sum(cast(promised, Float)),
    )
    keys = predictions.c.model_version, predictions.c.week
    return (
        select(*keys, *columns)
        .select_from(predictions.outerjoin(feedback))
        .where(visible_to(g.caller))
        .group_by(*keys, stratum)
        .order_by(predictions.c.week.desc(), predictions.c.model_version.desc())
    )


def _stratum(by_itself: ColumnElement[bool]) -> ColumnElement[int]:
    """Return the number of a prediction's stratum."""
    by_sureness = [(predictions.c.sureness < STEP * number, number) for number in range(1, STEPS)]
    return case(
        (not_(predictions.c.review), SURE), (by_itself, VOLUNTEERED), *by_sureness, else_=STEPS
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
