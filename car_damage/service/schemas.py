"""What the API takes and gives, as pydantic models: the code that makes /openapi.json."""

from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, RootModel
from pydantic.config import JsonDict

from car_damage.decision import Share, rounded_up
from car_damage.manifest import Metrics
from car_damage.photo_warnings import WarningWord
from car_damage.photos import NAMES
from car_damage.service.problems import KINDS
from car_damage.service.settings import MAX_PHOTOS

PHOTO: JsonDict = {"type": "string", "format": "binary"}
BASE64: JsonDict = {"format": "byte"}
# Rounded up, so that it still tells the same (rounded) probabilities apart.
Limit = Annotated[Share, AfterValidator(lambda limit: float(rounded_up(limit)))]


class PredictQuery(BaseModel):
    """How /predict may be asked."""

    heatmap: bool = Field(False, description="add the heatmap and the box it points at")
    picture: bool = Field(
        False, description="add the photo as a small JPEG, for programs that cannot show its format"
    )
    repeat: bool = Field(
        False, description="the photos were answered before: do not count their predictions again"
    )
    as_list: bool = Field(
        False, alias="list", description='answer {"predictions": […]}, also for one photo'
    )


# flask-openapi3 asks for it in every request, and pydantic is slow to make it.
PredictQuery.model_json_schema = cache(PredictQuery.model_json_schema)  # type: ignore[assignment, method-assign]


class PhotoForm(BaseModel):
    """A form with photos."""

    image: list[str] = Field(
        min_length=1,
        max_length=MAX_PHOTOS,
        description=NAMES,
        json_schema_extra={"items": PHOTO},
    )


class ImageInJson(BaseModel):
    """One photo in JSON."""

    image: str = Field(
        description="the photo in base64, or as a data: URL", json_schema_extra=BASE64
    )


class ImagesInJson(BaseModel):
    """Several photos in JSON; the answer is always a list."""

    images: list[str] = Field(
        min_length=1,
        max_length=MAX_PHOTOS,
        description="photos in base64, or as data: URLs",
        json_schema_extra={"items": {"type": "string", **BASE64}},
    )


class PixelBox(BaseModel):
    """A rectangle in pixels of the upright photo; right and bottom edge lie outside."""

    left: int
    top: int
    right: int
    bottom: int


class PhotoPrediction(BaseModel):
    """What the model says of one photo."""

    prediction: Literal["damaged", "not_damaged"]
    probability: float = Field(ge=0, le=1, description="that the car is damaged")
    threshold: Limit = Field(description="at or above it the prediction is damaged")
    review: bool = Field(description="the probability is one where a person should look")
    warnings: list[WarningWord] = Field(description="what makes the answer doubtful")
    model_version: str
    request_id: str
    heatmap: str | None = Field(
        None, description="with ?heatmap=true: the heatmap over the photo, a PNG as a data URI"
    )
    box: PixelBox | None = Field(
        None, description="with ?heatmap=true: the place that speaks most for damage, or null"
    )
    picture: str | None = Field(
        None, description="with ?picture=true: the upright photo, a small JPEG as a data URI"
    )


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(
        description="stable: `/problems/` and one of " + ", ".join(KINDS), pattern="^/problems/"
    )
    title: str = Field(description="the same for all of a type")
    status: int
    detail: str = Field(description="a sentence that helps")
    request_id: str


class InList(BaseModel):
    """Which photo an item of a list is about."""

    index: int = Field(ge=0, description="the photo's place in the request, from 0 on")
    file: str | None = Field(description="its file name in the form; null if it came without one")


class PredictionInList(PhotoPrediction, InList):
    """What the model says of one of several photos."""


class ProblemInList(ProblemDetails, InList):
    """Why one of several photos has no prediction."""


class PhotoPredictions(BaseModel):
    """What the model says of several photos, in order; an error stands in its photo's place."""

    predictions: list[PredictionInList | ProblemInList]
    request_id: str


class PredictResponse(RootModel[PhotoPrediction | PhotoPredictions]):
    """One photo's prediction, or those of several photos."""


class Alive(BaseModel):
    """The process lives."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The model answers."""

    status: Literal["ready"] = "ready"
    model_version: str


class Card(BaseModel):
    """The model's card: what it is and how far it can be trusted, without where it was made."""

    version: str
    created: str | None
    backbone: str | None
    precision: str | None = Field(description="of the numbers that it calculates with")
    sample: bool = Field(description="it only knows drawn cars, and is there to try things")
    size: int = Field(description="pixels a side of the image that the model sees")
    temperature: float = Field(description="by which its log-odds are divided to be honest")
    threshold: Limit = Field(description="at or above it the prediction is damaged")
    review_band: tuple[Limit, Limit] | None = Field(
        description="from the first probability to below the second a person should look"
    )
    metrics: Metrics = Field(description="measured on test photos, each with its 95 % interval")
