"""Wait until an address answers, without a word of the tries before: ``python -m serving.ready URL [TEXT]``."""

from __future__ import annotations

import time
import urllib.error

import click

from serving.direct import opener_for

__all__ = ["main", "wait_for"]


def wait_for(url: str, patience: float = 120.0) -> bool:
    """Whether `url` answered at all, be it with an error, within `patience` seconds."""
    end, opener = time.monotonic() + patience, opener_for(url)
    while time.monotonic() < end:
        try:
            opener.open(url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.5)
        else:
            return True
    return False


@click.command()
@click.argument("url")
@click.argument("text", default="")
@click.option("--patience", default=120.0, show_default=True, help="seconds after which it gives up")
def main(url: str, text: str, patience: float) -> None:
    """Wait until URL answers, then say TEXT."""
    if not wait_for(url, patience):
        raise SystemExit(f"error: nothing answers at {url} after {patience:g} seconds")
    if text:
        click.echo(text)


if __name__ == "__main__":
    main()
