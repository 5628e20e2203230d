"""URLs as they may be shown and kept: without the name and password that some carry."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^\s/?#]*@")


def without_userinfo(text: str) -> str:
    """A text whose URLs have lost what stands before the host: `https://user:password@host`."""
    return _USERINFO.sub("", text) if "@" in text else text
