from setuptools import find_packages, setup

package_name = "a1_policy_node"

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
    description="Observation in, action chunk out",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "ask = a1_policy_node.ask:main",
            "mine = a1_policy_node.mine:main",
            "policy = a1_policy_node.main:main",
            "predict = a1_policy_node.predict:main",
        ],
        "a1_ros.nodes": ["policy = a1_policy_node.node:PolicyNode"],
    },
)
