"""Entry of setup.sh: environment, wheels' paths, workspace, each only when something changed."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if Path(sys.prefix) == HERE.parent / ".venv":
    # The environment may be made anew below: work from the interpreter it came from.
    os.execv(sys._base_executable, [sys._base_executable, "-I", __file__, *sys.argv[1:]])
os.environ.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
sys.path.insert(0, str(HERE))

from a1_setup.run import main

sys.exit(main(sys.argv[1:]))
