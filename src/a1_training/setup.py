from setuptools import find_packages, setup

package_name = "a1_training"

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
    description="Trains A1 policies from simulated demonstrations",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "convert_checkpoint = a1_training.convert_checkpoint:main",
            "demonstrations = a1_training.demonstrations:main",
            "prepare_table = a1_training.prepare_table:main",
            "signals = a1_training.signals:main",
            "sizes = a1_training.sizes:main",
            "train = a1_training.train:main",
            "train_tiny = a1_training.train_tiny:main",
        ]
    },
)
