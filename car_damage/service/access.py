"""Who may ask, from where and how often, and what a browser may do with our pages."""

import hmac
import ipaddress
import re

from flask import Flask, Response, current_app, g, request
from flask_openapi3 import APIBlueprint
from werkzeug.middleware.proxy_fix import ProxyFix

from car_damage.service.problems import Problem
from car_damage.service.settings import Settings
from car_damage.service.telemetry import HEADER

WITH_PORT = re.compile(r"^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$")  # [::1]:80, 127.0.0.1:80
RATES = "car_damage_rates"  # where the application keeps them, among its extensions
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
            origins=[_exactly(origin) for origin in settings.cors_origins],
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=["Retry-After", HEADER],
        )
    if settings.rate_limit:
        from car_damage.service.rates import Rates  # likewise

        app.extensions[RATES] = Rates(settings.rate_limit, settings.rate_limit_storage)
    app.before_request(lambda: _admit(protected, settings.api_keys))


def charge(photos: int) -> None:
    """Count photos of the client that asks. Raises `Problem` "rate_limited"."""
    if photos and (rates := current_app.extensions.get(RATES)):
        rates.charge(g.client, photos)


def _admit(protected: APIBlueprint, keys: tuple[str, ...]) -> None:
    """Refuse who has no key, or sent too much, before a byte of the body is read.

    Each request costs one photo here; what it has beyond that is charged once it is known.
    """
    # A browser asks first whether a page from elsewhere may ask: that is no request of its own.
    if request.blueprint != protected.name or request.method == "OPTIONS":
        return
    if keys:
        _check_key(keys)
    number = _key_number(keys)
    g.client = network_of(request.remote_addr or "") if number is None else f"key {number}"
    charge(1)


def _exactly(origin: str) -> str | re.Pattern[str]:
    """A pattern of this origin alone: flask-cors takes some origins for regular expressions."""
    if origin == "*":
        return origin
    return re.compile(rf"{re.escape(origin)}\Z", re.IGNORECASE | re.ASCII)


def _check_key(keys: tuple[str, ...]) -> None:
    if request.authorization is None:
        raise Problem("unauthorized", "A key is needed: send it as 'Authorization: Bearer KEY'.")
    if _key_number(keys) is None:
        raise Problem("unauthorized", "The key is not one of those that this service knows.")


def network_of(address: str) -> str:
    """Who an address stands for: itself, or in IPv6 its /64, all of which one client can use.

    Some proxies forward a port with it. What is no address counts as one client, "unknown".
    """
    bare = WITH_PORT.sub(r"\1\2", address)
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), 64), strict=False))


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
