"""Why pip could not install, in a sentence with its mend, from what it printed."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What shows in pip's output (a regular expression), and what to tell of it."""

    shows: str
    told: str


# Of several the first counts: without a network pip ends with "no matching distribution" as well.
CAUSES = (
    Cause(
        shows=r"No space left on device",
        told="the disk is full: the environment takes 3 GB, and pip unpacks in TMPDIR (/tmp where "
        "that is not set); make room, or set TMPDIR to a folder that has it",
    ),
    Cause(
        shows=r"CERTIFICATE_VERIFY_FAILED",
        told="the package index has a certificate that this machine does not trust: behind a "
        "company's proxy set PIP_CERT to the file with its certificate",
    ),
    Cause(
        shows=r"ProxyError|Tunnel connection failed|Proxy Authentication Required",
        told="the proxy let nothing through: set HTTPS_PROXY to one that does, with user and "
        "password where it asks for them",
    ),
    Cause(
        shows=r"Temporary failure in name resolution|Name or service not known|Network is unreach"
        r"|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Connection (?:refused|reset)",
        told="no package index was reached: look at the network, and set HTTPS_PROXY behind a "
        "proxy or PIP_INDEX_URL to a mirror",
    ),
    Cause(
        shows=r"No matching distribution found|Could not find a version that satisfies",
        told="the package index has no version that fits this Python and machine: take another "
        "Python of 3.11 to 3.13 (A1_PYTHON=/path/to/python3), or an index that is complete",
    ),
)


def cause_of(output: str) -> str:
    """What most likely went wrong, for a person; empty where nothing known is in the output."""
    return next((cause.told for cause in CAUSES if re.search(cause.shows, output)), "")
