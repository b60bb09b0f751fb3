"""A page as PDF, printed by a browser that the system has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from retrograd.tensor.errors import InputError, RunError

BROWSERS: Final = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
    "microsoft-edge", "brave-browser",
)  # fmt: skip
_LONGEST = 60.0  # seconds


def find_browser() -> str:
    """Return the path of a browser that prints; raises InputError if the system has none."""
    for name in BROWSERS:
        if (found := shutil.which(name)) is not None:
            return found
    raise InputError(
        "writing a report as PDF",
        "no browser is installed that could print it (Chromium, Chrome, Edge)",
        "install Chromium, or write report.html and print it from any browser",
    )


def to_pdf(html: str, browser: str | None = None) -> bytes:
    """Return a page as PDF.

    The browser gets a profile of its own for the time being, and loads nothing but the page.
    Raises InputError if there is no browser, RunError if it fails.
    """
    program = find_browser() if browser is None else browser
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page, printed = Path(folder, "report.html"), Path(folder, "report.pdf")
        page.write_text(html, encoding="utf-8")
        command = [
            program, "--headless", "--disable-gpu", "--no-pdf-header-footer",
            "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}", page.as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # it refuses to start for root otherwise
        try:
            subprocess.run(command, check=False, capture_output=True, timeout=_LONGEST)
            return printed.read_bytes()
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunError(
                "writing a report as PDF",
                f"the browser {program} did not print it ({type(error).__name__})",
                "write report.html and print it from any browser",
            ) from None
