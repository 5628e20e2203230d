"""Whether W&B can be used from here, told without importing it, which takes seconds."""

from __future__ import annotations

import configparser
import netrc
import os
import socket
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ppr.errors import BadRequest
from ppr.urls import without_userinfo

_PUBLIC = ("https://api.wandb.ai", "https://api.forge.coreweave.com")
"""The public server by its names: FORGE_HOSTS in wandb/sdk/lib/urls.py of wandb 0.31."""


Mode = Literal["online", "offline"]
_MODES: dict[str, Mode] = {"online": "online", "offline": "offline", "dryrun": "offline"}


def named_url() -> str | None:
    """The server that the user names: WANDB_BASE_URL, else what `wandb login --host` noted.

    Without userinfo, which W&B does not use: it signs in with the key.
    """
    folder = Path(os.path.expanduser(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb"))
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(folder / "settings", encoding="utf-8")
        noted = settings.get("default", "base_url", fallback=None)
    except (configparser.Error, UnicodeDecodeError):
        noted = None
    named = os.environ.get("WANDB_BASE_URL") or noted
    return without_userinfo(named).rstrip("/") if named else None


def base_url() -> str:
    """That server, else the public one."""
    return named_url() or _PUBLIC[0]


def has_key() -> bool:
    """Whether there is a key for that server; which it is stays where it is."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    servers = _PUBLIC if base_url() in _PUBLIC else (base_url(),)
    hosts = [urlsplit(server).hostname or "" for server in servers]
    named = os.environ.get("NETRC")
    files = [named] if named else ["~/.netrc", "~/_netrc"]
    for file in files:
        try:
            keys = netrc.netrc(os.path.expanduser(file))
            if any(keys.authenticators(host) for host in hosts):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def unreachable(timeout: float = 5.0) -> str:
    """Why the server does not answer, in a line; nothing if it does."""
    host, port = _address()
    if getproxies().get("https") and not proxy_bypass(host):
        return ""  # the proxy knows
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        return f"W&B: cannot reach {base_url()}: {error.strerror or error}"
    return ""


def _address() -> tuple[str, int]:
    parts = urlsplit(base_url())
    return parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


def environment_mode() -> Mode:
    """The mode that WANDB_MODE names, for where no word does.

    Raises:
        BadRequest: it names one that ppr has no use for.
    """
    named = os.environ.get("WANDB_MODE") or "online"
    if named not in _MODES:
        raise BadRequest(
            f"tracker=wandb: WANDB_MODE={named}; leave the tracker out, or say tracker.mode=online "
            "or tracker.mode=offline"
        )
    return _MODES[named]
