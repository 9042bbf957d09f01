from setuptools import find_packages, setup

PACKAGE = "a1_data"

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
    description="Recorded bags as a live node's observations; LeRobot data sets. No ROS.",
    license="Apache-2.0",
    entry_points={"console_scripts": ["bag_info = a1_data.bag_info:main"]},
)
