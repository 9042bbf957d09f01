from setuptools import find_packages, setup

package_name = "a1_controllers"

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
    description="Action chunks in, robot commands out",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "controller = a1_controllers.main:main",
            "check_robot = a1_controllers.check_robot:main",
        ],
        "a1_ros.nodes": ["controller = a1_controllers.node:ControllerNode"],
    },
)
