"""The package imports and refuses a folder without a bag."""

import pytest

from a1_core.errors import BagError
from a1_data.bag_files import find_bags


def test_a_folder_without_a_bag_is_refused(tmp_path) -> None:
    with pytest.raises(BagError, match="no bag at or below it"):
        find_bags(tmp_path)
