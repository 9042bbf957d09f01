"""From streams to observations, by header stamp: the one path of live, replay and training."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a1_core.errors import ObservationRefused
from a1_core.observation import Observation
from a1_core.spec import CameraSpec, RobotSpec, StateSpec
from a1_core.stream import StreamBuffer
from a1_core.times import NS_PER_S

IMAGES_KEPT = 16
STATES_KEPT_S = 2.0
MOVED_RAD = 0.05


class Assembler:
    """Buffers every stream of a robot and samples them all at one tick.

    A tick is the stamp of an image of the first camera; the other cameras give their image
    nearest to it, the joints are interpolated to it. Time is an argument throughout.
    """

    def __init__(self, spec: RobotSpec):
        self._spec = spec
        self._images: dict[str, StreamBuffer[NDArray[np.uint8]]] = {
            camera.name: StreamBuffer(IMAGES_KEPT) for camera in spec.cameras
        }
        self._cameras = {camera.name: camera for camera in spec.cameras}
        self._states: list[StreamBuffer[NDArray[np.float64]]] = [
            StreamBuffer(max(2, round(source.rate_hz * STATES_KEPT_S * 2)))
            for source in spec.state_sources
        ]
        self._columns = [
            [_column(spec, joint) for joint in source.joints] for source in spec.state_sources
        ]

    def clear(self) -> None:
        """Forgets everything, as after a clock jump."""
        for images in self._images.values():
            images.clear()
        for states in self._states:
            states.clear()

    def push_image(self, camera: str, stamp_ns: int, rgb: NDArray[np.uint8]) -> bool:
        """Takes one image; False when it is not newer than the newest of that camera.

        Args:
            rgb: uint8 [h, w, 3].

        Raises:
            ObservationRefused: CAMERA_SIZE, the image is not of the size that the spec wants.
        """
        wanted = self._cameras[camera]
        if rgb.ndim != 3 or rgb.shape[2] != 3 or not _fits(wanted, rgb.shape[1], rgb.shape[0]):
            raise ObservationRefused(
                "CAMERA_SIZE",
                f"camera {camera} sends {rgb.shape}, {self._spec.path} wants height "
                f"{wanted.height or 'any'}, width {wanted.width or 'any'}, 3 channels; set the "
                "driver or the spec",
            )
        return self._images[camera].push(stamp_ns, rgb)

    def push_state(
        self,
        stamp_ns: int,
        names: Sequence[str],
        positions: ArrayLike,
        sources: Collection[int] | None = None,
    ) -> bool:
        """Takes one joint-state message; joints are found by name, whatever their order.

        A message that holds none of a source's joints belongs to another source. False when
        it is not newer than the newest of its source, or belongs to none.

        Args:
            names, positions: as on the wire.
            sources: indices of the state sources whose topic it came on; None for any, which
                only serves robots whose topics share no names and that read none by place.

        Raises:
            ObservationRefused: JOINT_MISSING, it holds only some joints of a source;
                STATE_NON_FINITE, a position is NaN or infinite.
        """
        values = np.asarray(positions, dtype=np.float64)
        taken = False
        for index in range(len(self._states)) if sources is None else sources:
            source = self._spec.state_sources[index]
            if not source.by_place and len(names) != len(values):
                raise ObservationRefused(
                    "JOINT_MISSING",
                    f"joint state has {len(names)} names but {len(values)} positions",
                )
            place = source.places(names, len(values))
            known = [place[joint] for joint in source.joints if joint in place]
            if not known:
                continue
            self._check_state(source, place, values[known])
            taken |= self._states[index].push(stamp_ns, values[known])
        return taken

    def tick_ns(self) -> int | None:
        """The newest tick for which every stream has what it needs.

        That is a stamp of the first camera near which every other camera has an image, and which
        every joint state has reached. Where there is none yet, the newest stamp of the first
        camera, for `assemble` to say what is missing; None before its first image.
        """
        reference = self._images[self._spec.cameras[0].name].recent()
        for image in reversed(reference):
            if self._complete(image.stamp_ns):
                return image.stamp_ns
        return reference[-1].stamp_ns if reference else None

    def _complete(self, tick_ns: int) -> bool:
        for camera in self._spec.cameras:
            image = self._images[camera.name].nearest(tick_ns)
            if image is None or abs(image.stamp_ns - tick_ns) > _skew_limit_ns(camera):
                return False
        newest = [buffer.newest for buffer in self._states]
        return all(state is not None and state.stamp_ns >= tick_ns for state in newest)

    def assemble(self, tick_ns: int, now_ns: int, instruction: str) -> Observation:
        """The observation at `tick_ns`, as known at `now_ns`.

        Raises:
            ObservationRefused: CAMERA_MISSING, CAMERA_STALE, CAMERA_SKEW, CAMERA_FROZEN,
                JOINT_MISSING or STATE_STALE.
        """
        self._check_age(now_ns)
        images = {
            camera.name: self._image(camera, tick_ns, now_ns) for camera in self._spec.cameras
        }
        return Observation(
            stamp_ns=tick_ns,
            images=images,
            state_D=self.state_at(tick_ns).astype(np.float32),
            instruction=instruction,
        )

    def state_at(self, stamp_ns: int) -> NDArray[np.float64]:
        """The robot's state [D] at a stamp: rad, grippers 0 closed to 1 open.

        Linear between the two messages around the stamp; beyond the newest one its value is
        held, for at most the source's `max_age_s`.

        Raises:
            ObservationRefused: JOINT_MISSING, nothing is known of a source; STATE_STALE, its
                newest message is too old for this stamp, or its oldest too young.
        """
        state_D = np.full(self._spec.dim, np.nan)
        sources = zip(self._spec.state_sources, self._states, self._columns, strict=True)
        for source, buffer, columns in sources:
            state_D[columns] = _interpolate(source, buffer, stamp_ns)
        for column, gripper in enumerate(self._spec.grippers, len(self._spec.joint_names)):
            state_D[column] = gripper.to_unit(state_D[column])
        return state_D

    def camera_skew_ns(self, tick_ns: int) -> int:
        """Largest distance between the tick and an image taken for it; 0 when none is there."""
        nearest = [buffer.nearest(tick_ns) for buffer in self._images.values()]
        return max((abs(image.stamp_ns - tick_ns) for image in nearest if image), default=0)

    def _image(self, camera: CameraSpec, tick_ns: int, now_ns: int) -> NDArray[np.uint8]:
        image = self._images[camera.name].nearest(tick_ns)
        if image is None:
            raise ObservationRefused("CAMERA_MISSING", f"nothing on {camera.topic} yet")
        limit_ns = round(camera.max_age_s * NS_PER_S)
        age_ns, skew_ns = now_ns - image.stamp_ns, abs(image.stamp_ns - tick_ns)
        if age_ns > limit_ns:
            raise ObservationRefused(
                "CAMERA_STALE",
                f"camera {camera.name} is {age_ns / 1e6:.0f} ms old, "
                f"limit {limit_ns / 1e6:.0f} ms ({camera.topic})",
            )
        skew_limit_ns = _skew_limit_ns(camera)
        if skew_ns > skew_limit_ns:
            raise ObservationRefused(
                "CAMERA_SKEW",
                f"camera {camera.name} is {skew_ns / 1e6:.0f} ms from the tick, "
                f"limit {skew_limit_ns / 1e6:.0f} ms; synchronise the cameras",
            )
        self._check_frozen(camera)
        return image.value

    def _check_frozen(self, camera: CameraSpec) -> None:
        """New stamps on the same pixels mean a stuck driver: real images differ by noise.

        A simulated camera on a resting arm sends equal images too, so only a buffer full of
        equal images while the joints moved counts.
        """
        images = self._images[camera.name].recent()
        if len(images) < IMAGES_KEPT:
            return
        newest = images[-1].value
        equal = all(np.array_equal(newest, other.value) for other in reversed(images[:-1]))
        if equal and self._moved(images[0].stamp_ns, images[-1].stamp_ns):
            raise ObservationRefused(
                "CAMERA_FROZEN",
                f"camera {camera.name} has sent {len(images)} equal images while the arm moved; "
                f"restart its driver ({camera.topic})",
            )

    def _moved(self, from_ns: int, to_ns: int) -> bool:
        """Whether an arm joint moved by more than MOVED_RAD between two stamps."""
        arms = set(self._spec.joint_names)
        for source, buffer in zip(self._spec.state_sources, self._states, strict=True):
            arm = [index for index, joint in enumerate(source.joints) if joint in arms]
            values = [s.value[arm] for s in buffer.recent() if from_ns <= s.stamp_ns <= to_ns]
            if len(values) > 1 and float(np.ptp(values, axis=0).max(initial=0.0)) > MOVED_RAD:
                return True
        return False

    def _check_age(self, now_ns: int) -> None:
        for source, buffer in zip(self._spec.state_sources, self._states, strict=True):
            newest = buffer.newest
            limit_ns = round(source.max_age_s * NS_PER_S)
            if newest is not None and now_ns - newest.stamp_ns > limit_ns:
                raise ObservationRefused(
                    "STATE_STALE",
                    f"joint state is {(now_ns - newest.stamp_ns) / 1e6:.0f} ms old, "
                    f"limit {limit_ns / 1e6:.0f} ms ({source.topic})",
                )

    def _check_state(
        self, source: StateSpec, place: dict[str, int], values: NDArray[np.float64]
    ) -> None:
        missing = [joint for joint in source.joints if joint not in place]
        if missing:
            raise ObservationRefused(
                "JOINT_MISSING",
                f"{', '.join(missing)} not in the joint state on {source.topic}; "
                "mend the driver's list or the spec's",
            )
        if not np.isfinite(values).all():
            joint = source.joints[int(np.argmin(np.isfinite(values)))]
            raise ObservationRefused(
                "STATE_NON_FINITE", f"position of {joint} is not finite ({source.topic})"
            )


def _column(spec: RobotSpec, joint: str) -> int:
    joints = (*spec.joint_names, *(gripper.joint for gripper in spec.grippers))
    return joints.index(joint)


def _fits(camera: CameraSpec, width: int, height: int) -> bool:
    return camera.width in (None, width) and camera.height in (None, height)


def _interpolate(
    source: StateSpec, buffer: StreamBuffer[NDArray[np.float64]], stamp_ns: int
) -> NDArray[np.float64]:
    before, after = buffer.bracket(stamp_ns)
    known = before or after
    if known is None:
        raise ObservationRefused("JOINT_MISSING", f"no joint state on {source.topic} yet")
    if before is None or after is None:
        gap_ns = abs(stamp_ns - known.stamp_ns)
        if gap_ns > round(source.max_age_s * NS_PER_S):
            raise ObservationRefused(
                "STATE_STALE",
                f"joint state nearest to the tick is {gap_ns / 1e6:.0f} ms away, "
                f"limit {source.max_age_s * 1e3:.0f} ms ({source.topic})",
            )
        return known.value
    span_ns = after.stamp_ns - before.stamp_ns
    if span_ns == 0:
        return before.value
    share = (stamp_ns - before.stamp_ns) / span_ns
    return before.value + share * (after.value - before.value)


def _skew_limit_ns(camera: CameraSpec) -> int:
    """Free-running cameras are up to a period apart; half of one is the nearest image's worst."""
    return round(0.75 * NS_PER_S / camera.rate_hz)
