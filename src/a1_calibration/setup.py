from setuptools import find_packages, setup

PACKAGE = "a1_calibration"

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
    description="Recorded bags in, certified exit thresholds and a report out.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "calibrate = a1_calibration.main:main",
            "calibration = a1_calibration.node:main",
        ],
        "a1_ros.nodes": ["calibration = a1_calibration.node:CalibrationNode"],
    },
)
