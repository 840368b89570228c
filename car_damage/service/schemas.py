"""The API's requests and answers as pydantic models, from which /openapi.json is made."""

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
# Rounded up, so that it still separates the same (rounded) probabilities.
Limit = Annotated[Share, AfterValidator(lambda limit: float(rounded_up(limit)))]


class PredictQuery(BaseModel):
    """The query parameters of /predict."""

    heatmap: bool = Field(
        False, description="add the heatmap, and the box around the strongest signs of damage"
    )
    picture: bool = Field(
        False, description="add the photo as a small JPEG, for programs that cannot show its format"
    )
    repeat: bool = Field(
        False, description="the photos were sent before; do not count their predictions again"
    )
    as_list: bool = Field(
        False, alias="list", description='return {"predictions": […]} even for one photo'
    )


# flask-openapi3 needs the schema in every request, and pydantic is slow to make it.
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
    """Several photos in JSON. The answer is always a list."""

    images: list[str] = Field(
        min_length=1,
        max_length=MAX_PHOTOS,
        description="photos in base64, or as data: URLs",
        json_schema_extra={"items": {"type": "string", **BASE64}},
    )


class PixelBox(BaseModel):
    """A rectangle in pixels of the upright photo, without its right and bottom edges."""

    left: int
    top: int
    right: int
    bottom: int


class SeenBefore(BaseModel):
    """Earlier predictions for the same photo, sent with the same key."""

    match: Literal["exact", "similar"] = Field(
        description="exact: the same file; similar: rescaled, recompressed or slightly cropped"
    )
    times: int = Field(ge=1, description="how often the photo came before")
    first: str = Field(json_schema_extra={"format": "date-time"})
    last: str = Field(json_schema_extra={"format": "date-time"})
    prediction_id: str = Field(description="the last of these predictions")


class PhotoPrediction(BaseModel):
    """The model's result for one photo."""

    prediction: Literal["damaged", "not_damaged"]
    probability: float = Field(ge=0, le=1, description="the probability that the car is damaged")
    threshold: Limit = Field(
        description="at or above this probability, the photo is classified as damaged"
    )
    review: bool = Field(description="the model is unsure, and a person should check the photo")
    warnings: list[WarningWord] = Field(description="reasons why the prediction may be wrong")
    model_version: str
    request_id: str
    prediction_id: str | None = Field(
        None,
        description="for feedback and deletion; only if the service records, null if it cannot now",
    )
    seen_before: SeenBefore | None = Field(
        None,
        description="whether the photo came before under the same key; only if the service records "
        "and the client may see records, and missing if the service could not look in time",
    )
    heatmap: str | None = Field(
        None, description="with ?heatmap=true: the photo with its heatmap, a PNG as a data URI"
    )
    box: PixelBox | None = Field(
        None,
        description="with ?heatmap=true: the area with the strongest signs of damage, null if none",
    )
    picture: str | None = Field(
        None, description="with ?picture=true: the upright photo, a small JPEG as a data URI"
    )


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(
        description="`/problems/` and one of these stable words: " + ", ".join(KINDS),
        pattern="^/problems/",
    )
    title: str = Field(description="the same for all problems of a type")
    status: int
    detail: str = Field(description="what is wrong and what to do, for people")
    request_id: str


class InList(BaseModel):
    """Identifies the photo that an item of a list belongs to."""

    index: int = Field(ge=0, description="the photo's position in the request, starting at 0")
    file: str | None = Field(description="the file name in the form, null if there was none")


class PredictionInList(PhotoPrediction, InList):
    """The model's result for one of several photos."""


class ProblemInList(ProblemDetails, InList):
    """The reason why one of several photos has no prediction."""


class PhotoPredictions(BaseModel):
    """The result or error of each of several photos, in the order of the request."""

    predictions: list[PredictionInList | ProblemInList]
    request_id: str


class PredictResponse(RootModel[PhotoPrediction | PhotoPredictions]):
    """The prediction for one photo, or the list for several photos."""


class Alive(BaseModel):
    """The process is running."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The model is loaded and works."""

    status: Literal["ready"] = "ready"
    model_version: str


class Card(BaseModel):
    """The model's card: its properties and test results, without details of the training run."""

    version: str
    created: str | None
    backbone: str | None
    precision: str | None = Field(description="number format of the weights and activations")
    sample: bool = Field(description="trained on drawn cars, only for trying things out")
    size: int = Field(description="width and height of the model's input image in pixels")
    temperature: float = Field(description="divisor of the log-odds that calibrates probabilities")
    threshold: Limit = Field(
        description="at or above this probability, a photo is classified as damaged"
    )
    review_band: tuple[Limit, Limit] | None = Field(
        description="a person should check photos from the first probability to below the second"
    )
    metrics: Metrics = Field(description="results on the test set, each with a 95 % interval")
