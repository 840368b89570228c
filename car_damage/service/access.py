"""Who may ask, from where and how often, and what a browser may do with our pages."""

import hmac
import math
import time

from flask import Flask, Response, request
from flask_openapi3 import APIBlueprint
from werkzeug.middleware.proxy_fix import ProxyFix

from car_damage.service.problems import Problem, response_to
from car_damage.service.settings import Settings
from car_damage.service.telemetry import HEADER

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def init_app(app: Flask, settings: Settings, protected: APIBlueprint) -> None:
    """Trust as many proxies as told, and guard `protected` with keys and a rate limit."""
    app.after_request(_add_headers)
    if proxies := settings.trusted_proxies:
        proxied = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)
        app.wsgi_app = proxied  # type: ignore[method-assign]  # Flask's documented way to wrap it
    if settings.cors_origins:
        from flask_cors import CORS  # only if it is needed: a start waits for it

        CORS(
            app,
            origins=list(settings.cors_origins),
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=["Retry-After", HEADER],
        )
    if settings.rate_limit:
        _limit_rate(app, settings, protected)
    app.before_request(lambda: _check_key(protected, settings.api_keys))


def _limit_rate(app: Flask, settings: Settings, protected: APIBlueprint) -> None:
    from flask_limiter import Limiter, RateLimitExceeded  # likewise

    limiter = Limiter(
        lambda: _asker(settings.api_keys),
        app=app,
        storage_uri=settings.rate_limit_storage,
        in_memory_fallback_enabled=True,  # a storage that is away must not refuse every photo
    )
    # A browser asks first whether a page from elsewhere may ask: that is no request of its own.
    limiter.request_filter(lambda: request.method == "OPTIONS")
    limiter.limit(settings.rate_limit or "")(protected)

    def too_many(error: RateLimitExceeded) -> Response:
        sentence = f"More than {error.description} were asked for; wait, then retry."
        response = response_to(Problem("rate_limited", sentence))
        # The limiter's own headers would make those wait who were answered or found the queue full.
        if limiter.current_limit:
            seconds = math.ceil(limiter.current_limit.reset_at - time.time())
            response.headers["Retry-After"] = str(max(1, seconds))
        return response

    app.register_error_handler(RateLimitExceeded, too_many)


def _check_key(protected: APIBlueprint, keys: tuple[str, ...]) -> None:
    """Refuse whoever has no key, before a byte of the photo is read."""
    if not keys or request.blueprint != protected.name or request.method == "OPTIONS":
        return
    if request.authorization is None:
        raise Problem("unauthorized", "A key is needed: send it as 'Authorization: Bearer KEY'.")
    if _key_number(keys) is None:
        raise Problem("unauthorized", "The key is not one of those that this service knows.")


def _asker(keys: tuple[str, ...]) -> str:
    number = _key_number(keys)
    return f"address {request.remote_addr}" if number is None else f"key {number}"


def _key_number(keys: tuple[str, ...]) -> int | None:
    """Which key the request brought. Compares with every one, each in constant time."""
    sent = request.authorization
    token = (sent.token or "") if sent and sent.type == "bearer" else ""
    same = [hmac.compare_digest(token.encode(), key.encode()) for key in keys]
    return same.index(True) if any(same) else None


def _add_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
