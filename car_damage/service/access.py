"""Access control: keys, rate limits, trusted proxies, CORS and security headers."""

import hmac
import ipaddress
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from flask import Flask, Response, current_app, g, request
from flask_openapi3 import APIBlueprint
from werkzeug.middleware.proxy_fix import ProxyFix

from car_damage.service.problems import Problem
from car_damage.service.settings import Key, Settings
from car_damage.service.telemetry import HEADER

PORT = re.compile(r":[0-9]+$")
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
WITH_PORT = re.compile(r"^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$")  # [::1]:80, 127.0.0.1:80
RATES = "car_damage_rates"  # the rates' key among the application's extensions
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
    """Set up security headers, proxies and CORS; guard `protected` with keys and a rate limit."""
    app.after_request(_add_headers)
    if proxies := settings.trusted_proxies:
        proxied = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)
        app.wsgi_app = proxied  # type: ignore[method-assign]  # Flask documents this
    if settings.cors_origins:
        from flask_cors import CORS  # imported only if needed, because it slows the start

        CORS(
            app,
            origins=[_exactly(origin) for origin in settings.cors_origins],
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=["Retry-After", HEADER],
        )
    if settings.rate_limit:
        from car_damage.service.rates import Rates  # see above

        app.extensions[RATES] = Rates(settings.rate_limit, settings.rate_limit_storage)
    app.before_request(lambda: _admit(protected, settings))


def charge(photos: int) -> None:
    """Count photos of the current client. Raises `Problem` "rate_limited"."""
    if photos and (rates := current_app.extensions.get(RATES)):
        rates.charge(g.client, photos)


class Caller(NamedTuple):
    """Who sends a request."""

    name: str  # of its key, "" where none is needed
    is_admin: bool  # an administrator sees the records of all keys
    client: str  # for rates and turns: its key or its network


def caller(settings: Settings) -> Caller:
    """Return who sends the request. Raises `Problem` "unauthorized" for a wrong or missing key.

    A client that needs no key may have one all the same, if it is an administrator's.
    """
    keys = [*settings.api_keys, *settings.admin_keys]
    number = _key_number(keys)
    if number is not None:
        is_admin = number >= len(settings.api_keys)
        return Caller(keys[number].name, is_admin, f"key {number}")
    if settings.api_keys:
        raise _unauthorized()
    return Caller("", False, network_of(request.remote_addr or ""))


def person(settings: Settings) -> Caller:
    """Return who sends a request for records, which are only for people with a key.

    Without any keys, they are for the service's own computer, which sees all of them. Raises
    `Problem` "unauthorized" or "local_only".
    """
    found = caller(settings)
    if found.name:
        return found
    if settings.admin_keys:
        raise _unauthorized()
    if not _is_local(settings):
        raise Problem("local_only")
    return found._replace(is_admin=True)


def may_see_records(found: Caller, settings: Settings) -> bool:
    """Return whether this caller may learn what the service has recorded, as in `person`."""
    return bool(found.name) or way_to_records(settings) == "open"


def way_to_records(settings: Settings) -> Literal["", "key", "open"]:
    """Return whether the client can use records with a key, without one, or not at all."""
    if settings.database_url is None:
        return ""
    if settings.api_keys or settings.admin_keys:
        return "key"
    return "open" if _is_local(settings) else ""


def _admit(protected: APIBlueprint, settings: Settings) -> None:
    """Refuse clients without a key or over the rate limit, before the body is read.

    Each request counts as one photo here. Further photos are counted after they are read.
    """
    # A browser's CORS preflight (OPTIONS) has no key and does not count.
    if request.blueprint != protected.name or request.method == "OPTIONS":
        return
    g.caller = caller(settings)
    g.client = g.caller.client
    charge(1)


def _unauthorized() -> Problem:
    if request.authorization is None:
        return Problem("unauthorized", "The request has no key. Send 'Authorization: Bearer KEY'.")
    return Problem("unauthorized", "The service does not know this key. Ask its operator.")


def _is_local(settings: Settings) -> bool:
    """Whether a program on this computer sends the request for itself.

    A proxy on this computer sends the requests of others, and says so unless it is told not to. A
    browser on this computer sends those of any website. Their origin is another one, or the host is
    a name that the website has pointed to this computer (DNS rebinding).
    """
    forwarded = any(header in request.headers for header in FORWARDED)
    host = request.host.rpartition(":")[0] if PORT.search(request.host) else request.host
    origin = request.headers.get("Origin")
    return (
        _is_loopback(request.remote_addr or "")
        and (host == "localhost" or _is_loopback(host.strip("[]")))
        and (settings.trusted_proxies > 0 or not forwarded)
        and origin in (None, f"{request.scheme}://{request.host}")
    )


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(WITH_PORT.sub(r"\1\2", address))
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _exactly(origin: str) -> str | re.Pattern[str]:
    """Return a pattern for exactly this origin. flask-cors treats some origins as patterns."""
    if origin == "*":
        return origin
    return re.compile(rf"{re.escape(origin)}\Z", re.IGNORECASE | re.ASCII)


def network_of(address: str) -> str:
    """Return the client for an address: IPv4 as it is, IPv6 as its /64 network.

    One client can use its whole /64. Some proxies add a port, which is removed. All text that is
    not an address counts as one client, "unknown".
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


def _key_number(keys: Sequence[Key]) -> int | None:
    """Return the index of the request's key. Compares it with every key in constant time."""
    sent = request.authorization
    token = (sent.token or "") if sent and sent.type == "bearer" else ""
    same = [hmac.compare_digest(token.encode(), key.secret.encode()) for key in keys]
    return same.index(True) if any(same) else None


def _add_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
