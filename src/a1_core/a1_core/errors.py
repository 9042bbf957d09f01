"""The mistakes a user can make, and why an observation is refused."""

from __future__ import annotations


class A1Error(ValueError):
    """The user's mistake; the message names file, field, value and how to mend it."""


class SpecError(A1Error):
    """A robot spec that cannot be used."""


class CheckpointError(A1Error):
    """A checkpoint that cannot be used."""


class ThresholdsError(A1Error):
    """A thresholds file that cannot be used, or that belongs to something else."""


class BagError(A1Error):
    """A recorded bag that cannot be read."""


class DatasetError(A1Error):
    """A data set that cannot be read, written, or used for a robot."""


class ObservationRefused(Exception):
    """No observation can be made now.

    Attributes:
        code: CAMERA_MISSING, CAMERA_STALE, CAMERA_FROZEN, CAMERA_SKEW, CAMERA_SIZE,
            CAMERA_ENCODING, JOINT_MISSING, STATE_STALE or STATE_NON_FINITE.
        detail: for a person: which stream, which values.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
