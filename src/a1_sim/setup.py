from setuptools import find_packages, setup

PACKAGE = "a1_sim"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="A1 for ROS 2 developers",
    maintainer_email="a1-ros2@example.org",
    description="The simulated robot on the robot's own topics, demonstration and evaluation.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "simulator = a1_sim.main:main",
            "demo = a1_sim.demo:main",
            "evaluate = a1_sim.evaluate:main",
            "record_episodes = a1_sim.record_episodes:main",
            "loop = a1_sim.loop:main",
            "record_expert = a1_sim.record_expert:main",
            "robot_demo = a1_sim.robot_demo:main",
            "stand_in = a1_sim.stand_in:main",
        ],
        "a1_ros.nodes": ["sim = a1_sim.node:SimNode"],
    },
)
