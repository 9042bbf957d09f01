from setuptools import find_packages, setup

package_name = "a1_views"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["assets/*", "assets/uplot/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="A1 for ROS 2 developers",
    maintainer_email="a1-ros2@example.org",
    description="Shows a run: in the browser, in Foxglove, and as a report of a bag",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "page = a1_views.page:main",
            "foxglove = a1_views.foxglove:main",
        ],
        "a1_ros.nodes": [
            "page = a1_views.page:PageNode",
            "foxglove = a1_views.foxglove:FoxgloveNode",
        ],
    },
)
