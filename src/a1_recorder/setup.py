from setuptools import find_packages, setup

package_name = "a1_recorder"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="A1 for ROS 2 developers",
    maintainer_email="a1-ros2@example.org",
    description="Teleoperation, and episodes recorded to bags",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "drive = a1_recorder.teleop.keyboard:main",
            "export = a1_recorder.export:main",
            "import = a1_recorder.import_dataset:main",
            "record = a1_recorder.keyboard:main",
            "replay = a1_recorder.replay:main",
            "recorder = a1_recorder.main:main",
            "teleop = a1_recorder.teleop.main:main",
        ],
        "a1_ros.nodes": [
            "recorder = a1_recorder.node:RecorderNode",
            "teleop = a1_recorder.teleop.node:TeleopNode",
        ],
    },
)
