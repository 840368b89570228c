"""The report as a page: one HTML file without scripts or external files."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from car_damage import model_store
from car_damage.errors import UserError
from car_damage.evaluation.slices import FEWEST_SHOWN
from car_damage.files import write_text
from car_damage.predictor import Predictor
from car_damage.report import formats, words
from car_damage.report.results import Results, read_results
from car_damage.report.sections import photos_for_a_band, sections
from car_damage.report.verdict import next_steps, verdict

REPORT = "report.html"


def write_report(models: Path, version: str, with_photos: bool = True) -> Path:
    """Write `models/<version>/report.html` in one step and return its path.

    The included version's folder is read-only, so its report goes to
    `models/report-<version>.html`. The data come from the version's folder. The pictures come from
    the photo files named in its `predictions.csv` and `label_issues.csv`; the page says which ones
    are missing. With `with_photos=False`, the page contains no photo and no file name.

    Raises `UserError` if the version is missing or damaged.
    """
    results = read_results(models, version)
    predictor = Predictor(results.record) if with_photos else None
    steps = next_steps(results, models, photos_for_a_band(results.manifest.dataset))
    page = render(
        "report.html",
        results=results,
        manifest=results.manifest,
        photos=results.metrics.photos,
        verdict=verdict(results.metrics),
        in_use=model_store.current(models),
        sections=sections(results, find_rival(models, results), predictor) | {"next": steps},
    )
    folder = results.record.folder
    is_included = model_store.is_included(folder)
    path = models / f"report-{version}.html" if is_included else folder / REPORT
    write_text(path, page)
    return path


def find_rival(models: Path, results: Results) -> Results | None:
    """The version to compare with: the one in use.

    If this version is in use itself, it is the one that it replaced, or else the one made before.
    """
    rival, promotion = model_store.current(models), results.against_current
    if rival in (None, results.version):
        earlier = [name for name in model_store.versions(models) if name < results.version]
        rival = promotion.current if promotion else max(earlier, default=None)
    try:
        return read_results(models, rival) if rival else None
    except UserError:  # a damaged version must not prevent the report on this one
        return None


def render(template: str, **context: Any) -> str:
    """Fill in the template; text from files and photo names is escaped."""
    environment = Environment(
        loader=PackageLoader("car_damage.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(formats.FILTERS)
    environment.globals.update(words=words, FEWEST_SHOWN=FEWEST_SHOWN)
    return environment.get_template(template).render(**context)
