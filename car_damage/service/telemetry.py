"""Write a log line and update the metrics for each request."""

import re
from time import perf_counter

from flask import Flask, Response, g, request

from car_damage.service import logs
from car_damage.service.metrics import current_metrics

HEADER = "X-Request-ID"
SANE = re.compile(r"[\w.:-]{1,64}", re.ASCII)  # other ids could forge lines or flood the log


def init_app(app: Flask) -> None:
    """Make `app` log and count each request."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.begun = perf_counter()
    g.jobs = []  # of the request's photos, once they are read
    asked = request.headers.get(HEADER, "")
    g.request_id = asked if SANE.fullmatch(asked) else logs.new_request_id()


def _end(response: Response) -> Response:
    response.headers[HEADER] = g.request_id
    _count(response)
    line = {
        "request_id": g.request_id,
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "total_ms": round((perf_counter() - g.begun) * 1000, 3),
        "client": request.remote_addr,
    }
    if "refusal" in g:
        line["refusal"] = g.refusal
    if len(g.jobs) == 1:
        line |= g.jobs[0].log_fields
    elif g.jobs:
        line["photos"] = [job.log_fields for job in g.jobs]
    logs.REQUESTS.info("request", extra=line)
    return response


def _count(response: Response) -> None:
    route = request.url_rule.rule if request.url_rule else "unmatched"
    metrics = current_metrics()
    metrics.requests.labels(route, response.status_code).inc()
    for job in g.jobs:
        metrics.count_photo(job.log_fields, alone=len(g.jobs) == 1)
    if "refusal" in g:
        metrics.refusals.labels(g.refusal).inc()
    metrics.count_memory()
    metrics.count_lost_log_lines()
