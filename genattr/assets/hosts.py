"""Which addresses a download may have: TLS, and the hosts of the configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import cache
from urllib.parse import urlsplit

from omegaconf import OmegaConf

from genattr import config


class RefusedError(OSError):
    """An address that is not asked; the text says why."""


def check(url: str, first: str) -> None:
    """Raise RefusedError unless a download may go to an address.

    Parameters
    ----------
    url
        The address.
    first
        The address of the configuration, which may send the download on. Plain HTTP is for servers
        of this machine alone.
    """
    host = _host(url)
    if host not in {_host(first), *_next_hosts(_host(first))}:
        raise RefusedError(f"it is sent on to {host}, which conf/hosts.yaml does not name")
    if urlsplit(url).scheme != "https" and not (urlsplit(url).scheme == "http" and _is_here(host)):
        raise RefusedError(f"{host} gives it without TLS, so that anyone on the way can change it")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_here(host: str) -> bool:
    """Whether a name or a number is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def _next_hosts(host: str) -> Collection[str]:
    """Return where a host may send downloads on to."""
    known = OmegaConf.to_container(OmegaConf.load(config.folder() / "hosts.yaml"))
    assert isinstance(known, dict)
    return frozenset(known.get(host, ()))
