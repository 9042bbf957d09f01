"""The ROS 2 wheels carry the paths of the Python they were built with; these are put right here."""

import re
import subprocess
from pathlib import Path

_BUILD_PREFIX = re.compile(r"/opt/python/cp3\d+-cp3\d+")
_BUILD_INCLUDE = re.compile(_BUILD_PREFIX.pattern + r"/include/python3\.\d+")
_BUILD_NUMPY = re.compile(
    _BUILD_PREFIX.pattern + r"/lib/python3\.\d+/site-packages/numpy/(?:_core|core)/include"
)
_ASK = (
    "import numpy, sysconfig; print(sysconfig.get_paths()['include']); print(numpy.get_include())"
)


def mend(python: Path, prefix: Path) -> int:
    """Name this environment in every CMake and index file under prefix/share; files changed."""
    answer = subprocess.run(
        [str(python), "-c", _ASK], check=True, capture_output=True, text=True
    ).stdout
    include, numpy_include = answer.split("\n")[:2]
    changed = 0
    for path in _candidates(prefix / "share"):
        text = path.read_text(encoding="utf-8")
        mended = _BUILD_NUMPY.sub(lambda _: numpy_include, text)
        mended = _BUILD_INCLUDE.sub(lambda _: include, mended)
        mended = _BUILD_PREFIX.sub(lambda _: str(prefix), mended)
        if mended != text:
            path.write_text(mended, encoding="utf-8")
            changed += 1
    return changed


def _candidates(share: Path) -> list[Path]:
    index = share / "ament_index" / "resource_index" / "parent_prefix_path"
    return [*share.glob("*/cmake/*.cmake"), *(p for p in index.glob("*") if p.is_file())]
