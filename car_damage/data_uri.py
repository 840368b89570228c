"""Data URIs: pictures embedded in a page or a response."""

import base64


def data_uri(content: bytes, mime_type: str) -> str:
    """Encode `content` as a data URI, for the `src` of an `<img>`."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode('ascii')}"
