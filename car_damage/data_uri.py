"""Pictures inside a page or an answer instead of at an address of their own."""

import base64


def data_uri(content: bytes, mime_type: str) -> str:
    """Return `content` as a data URI, which an `<img>` shows as it is."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode('ascii')}"
