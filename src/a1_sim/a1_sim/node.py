"""The node `simulator`: the world on the robot's own topics, in real time or in lockstep."""

from dataclasses import replace
from typing import Any

from a1_msgs.msg import ActionChunk, EpisodeState, LockstepAck
from a1_msgs.srv import ResetWorld
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import JointState

from a1_core.errors import A1Error
from a1_core.spec import load_spec
from a1_ros.diagnostics import Level, Status
from a1_ros.guard import refuse_foreign_endpoints
from a1_ros.lifecycle import A1LifecycleNode
from a1_ros.messages import chunk_to_msg
from a1_ros.qos import RELIABLE
from a1_ros.times import NS_PER_S, ns_to_stamp, stamp_to_ns, steady_now_ns
from a1_sim.episode import Episode
from a1_sim.expert_source import ExpertSource
from a1_sim.faults import Faults, names
from a1_sim.gripper_server import GripperServer
from a1_sim.jtc_node import JtcNode, split_name
from a1_sim.lockstep import Barrier
from a1_sim.pacing import RealTimePacer
from a1_sim.robot import SimulatedRobot
from a1_sim.sensors import Cameras, JointStates
from a1_sim.settings import SPECS, mounts_from
from a1_world.expert import Expert
from a1_world.world import World

# Who may send to the robot besides the simulator's own nodes.
CONTROLLER = "controller"


class SimNode(A1LifecycleNode):
    """Plays the robot of the spec; see config/sim.yaml for its parameters."""

    def __init__(self, **node_kwargs: Any) -> None:
        super().__init__("simulator", SPECS, **node_kwargs)
        self._kwargs = {k: v for k, v in node_kwargs.items() if k == "context"}
        self._world: World | None = None
        self._jtc: JtcNode | None = None
        self._gripper: GripperServer | None = None
        self._timer = None
        self._faults = Faults()
        self._clock_offset_ns = 0
        self.add_post_set_parameters_callback(self._on_parameters)

    def on_configured(self) -> None:
        """Load the robot and its world; refuse to be where a real arm could hear."""
        values = self.parameters
        if not values["robot"]:
            raise A1Error("simulator: parameter robot is empty; give the file of a robot spec")
        self._spec = spec = load_spec(values["robot"])
        _, jtc_name = split_name(spec.command.controller)
        refuse_foreign_endpoints(self, [spec.command.topic], allowed=(CONTROLLER, jtc_name))
        self._jtc = JtcNode(spec, values["update_rate"], **self._kwargs)
        if self.executor is not None:
            self.executor.add_node(self._jtc)
        self._world = World(image_size=values["image_size"], mounts=mounts_from(values.values()))
        self._robot = robot = SimulatedRobot(self._world, self._jtc.controller)
        steps = robot.reset(values["seed"])
        self._episode = Episode(number=0, seed=values["seed"], steps=steps, start_ns=robot.now_ns)
        self._steps = 0
        self._camera_steps = max(1, round(values["camera_period"] * NS_PER_S / robot.step_ns))
        self._watcher = Expert(self._world)
        self._expert = ExpertSource(spec, robot, self._watcher) if values["expert"] else None
        self._expert_steps = max(1, round(values["expert_period"] * NS_PER_S / robot.step_ns))
        self._pacer = RealTimePacer()
        self._barrier = Barrier(values["lockstep_nodes"])
        self._clock_offset_ns = 0
        self._on_parameters([])

    def on_activated(self) -> None:
        """Publish, listen and let time run."""
        assert self._jtc is not None
        robot = self._robot
        self._joint_states = JointStates(self, self._spec, robot)
        self._cameras = Cameras(self, self._spec, robot)
        self._clock_out = self.create_publisher(ClockMsg, "/clock", RELIABLE)
        self._episode_out = self.create_publisher(EpisodeState, "sim/episode", RELIABLE)
        self._qpos_out = self.create_publisher(JointState, "sim/qpos", RELIABLE)
        if self._expert is not None:
            self._chunks_out = self.create_publisher(ActionChunk, "a1/chunk", RELIABLE)
        self._reset_service = self.create_service(ResetWorld, "sim/reset", self._on_reset)
        self._gripper = GripperServer(self, self._spec, robot)
        self._jtc.activate(robot)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        if self.parameters["lockstep"]:
            self._tick_steps = round(self.parameters["control_period"] * NS_PER_S / robot.step_ns)
            self._acks_in = self.create_subscription(
                LockstepAck, "sim/lockstep_ack", self._on_ack, RELIABLE
            )
            self._next = self.create_guard_condition(self._lockstep_tick)
            self._timer = self.create_timer(0.05, self._watch_lockstep, clock=steady)
            self._closed_ns, self._warned = 0, False
        else:
            self._tick_steps = round(self.parameters["clock_period"] * NS_PER_S / robot.step_ns)
            self._timer = self.create_timer(
                self.parameters["clock_period"], self._real_time_tick, clock=steady
            )
        self.diagnostics.set_source("simulation", self._status)

    def on_deactivated(self) -> None:
        """Let time stand still."""
        if self._timer is not None:
            self._timer.cancel()
            self.destroy_timer(self._timer)
            self._timer = None
        if self._gripper is not None:
            self._gripper.close()
            self._gripper = None

    def on_cleaned_up(self) -> None:
        """Close the world and the trajectory controller."""
        if self._jtc is not None:
            if self.executor is not None:
                self.executor.remove_node(self._jtc)
            self._jtc.destroy_node()
            self._jtc = None
        if self._world is not None:
            self._world.close()
            self._world = None

    def _real_time_tick(self) -> None:
        wall_ns = round(steady_now_ns() * self.parameters["speed"])
        target_ns = self._pacer.target_ns(wall_ns, self._robot.now_ns)
        tick_ns = self._tick_steps * self._robot.step_ns
        while self._robot.now_ns + tick_ns <= target_ns:
            for _ in range(self._tick_steps):
                self._step_once()
                if self._steps % self._camera_steps == 0:
                    # A picture comes with all joint states of its instant.
                    self._joint_states.publish(self._faults)
                    self._look()
                else:
                    self._joint_states.publish(self._faults, step=self._steps)
            self._after_motion()
            self._publish_clock()

    def _lockstep_tick(self) -> None:
        if self._timer is None or not self._barrier.open:
            return
        for _ in range(self._tick_steps):
            self._step_once()
        camera_tick = self._steps % self._camera_steps == 0
        self._joint_states.publish(self._faults)
        self._after_motion()
        self._barrier.close(self._robot.now_ns, camera_tick=camera_tick)
        self._closed_ns = steady_now_ns()
        if camera_tick:
            self._look()
        self._publish_clock()
        if self._barrier.open:
            self._next.trigger()

    def _watch_lockstep(self) -> None:
        waited_s = (steady_now_ns() - self._closed_ns) * 1e-9
        if self._barrier.open:
            self._next.trigger()
        elif waited_s > self.parameters["lockstep_timeout"]:
            if not self._warned:
                self.get_logger().warning(
                    f"lockstep: no acknowledgement from {', '.join(self._barrier.missing)} within "
                    f"{waited_s:.1f} s; going on without (said once)"
                )
            self._warned = True
            self._barrier.close(0, camera_tick=False)
            self._next.trigger()

    def _step_once(self) -> None:
        self._robot.step()
        self._steps += 1

    def _look(self) -> None:
        self._cameras.publish(self._faults)
        if self._expert is not None and self._steps % self._expert_steps == 0:
            self._publish_expert()
        self._publish_episode()
        if self._qpos_out.get_subscription_count():
            msg = JointState(position=self._robot.world.data.qpos.tolist())
            msg.header.stamp = ns_to_stamp(self._robot.now_ns)
            self._qpos_out.publish(msg)

    def _after_motion(self) -> None:
        assert self._gripper is not None and self._jtc is not None
        self._gripper.tick()
        self._jtc.publish_state(self._robot)
        world, before = self._robot.world, self._episode
        if before.number == 0 or not before.running:
            return
        self._episode = before.judged(
            steps_done=world.step_index + world.success(), failed=world.failed()
        )
        if self._episode != before:
            self._publish_episode()

    def _publish_expert(self) -> None:
        assert self._expert is not None
        if self._episode.number == 0 or not self._episode.running:
            return
        chunk = self._expert.chunk()
        self._barrier.chunk_sent(chunk.seq)
        self._chunks_out.publish(chunk_to_msg(chunk))

    def _publish_clock(self) -> None:
        self._clock_out.publish(ClockMsg(clock=ns_to_stamp(self._robot.now_ns)))

    def _publish_episode(self) -> None:
        episode, now_ns = self._episode, self._robot.now_ns
        msg = EpisodeState(
            episode=episode.number,
            seed=episode.seed,
            running=episode.number > 0 and episode.running,
            success=episode.success,
            failed=episode.failed,
            elapsed_s=episode.elapsed_s(now_ns),
            kind=episode.task.kind,
            colour=episode.task.colour,
            instruction=episode.instruction,
            phase=self._watcher.phase,
            steps=[step.instruction for step in episode.steps],
            steps_done=episode.steps_done,
        )
        msg.header.stamp = ns_to_stamp(now_ns)
        msg.header.frame_id = self._spec.base_frame
        self._episode_out.publish(msg)

    def _on_ack(self, msg: LockstepAck) -> None:
        self._barrier.ack(msg.node, stamp_to_ns(msg.stamp), msg.seq)
        if self._barrier.open:
            # Not at once: what was sent before this acknowledgement may still wait to be read.
            self._next.trigger()

    def _on_reset(
        self, request: ResetWorld.Request, response: ResetWorld.Response
    ) -> ResetWorld.Response:
        robot, number = self._robot, self._episode.number + 1
        assert self._gripper is not None
        self._gripper.abort()
        try:
            steps = robot.reset(request.seed, request.kind, request.colour, request.steps)
        except A1Error as error:
            response.success, response.message = False, str(error)
            return response
        if self._expert is not None:
            self._expert.new_session()
            self._barrier.forget_chunks()
        self._episode = Episode(
            number=number, seed=request.seed, steps=steps, start_ns=robot.now_ns
        )
        self._publish_episode()
        response.success, response.instruction = True, self._episode.instruction
        response.steps = [step.instruction for step in steps]
        return response

    def _on_parameters(self, parameters: list[Parameter]) -> None:
        values = self.parameters
        self._faults = Faults(
            cameras_frozen=names(values["fault.cameras_frozen"]),
            cameras_silent=names(values["fault.cameras_silent"]),
            joint_states_silent=values["fault.joint_states_silent"],
        )
        if self._world is not None:
            self._set_clock_offset(round(values["fault.clock_offset_s"] * NS_PER_S))

    def _set_clock_offset(self, offset_ns: int) -> None:
        """All that is stamped, the trajectory controller's time too, jumps with the clock."""
        jump_ns, self._clock_offset_ns = offset_ns - self._clock_offset_ns, offset_ns
        if jump_ns:
            self._robot.jump_clock(jump_ns)
            self._pacer = RealTimePacer()
            self._episode = replace(self._episode, start_ns=self._episode.start_ns + jump_ns)

    def _status(self) -> Status:
        lockstep = self.parameters["lockstep"]
        factor = self._pacer.factor
        slow = not lockstep and factor < 0.9
        return Status(
            level=Level.WARN if slow else Level.OK,
            message=f"runs at {factor:.2f} of real time; end what else keeps the processor busy, "
            "or run in lockstep"
            if slow
            else "running",
            values={
                "clock": "lockstep" if lockstep else "real time",
                "real_time_factor": f"{factor:.2f}",
                "simulated_s": f"{self._robot.now_ns * 1e-9:.1f}",
                "trajectories_accepted": str(self._robot.controller.accepted),
                "trajectories_refused": str(self._robot.controller.refused),
                "following_error_rad": f"{self._robot.following_error_rad:.4f}",
            },
        )
