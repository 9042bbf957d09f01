from setuptools import find_packages, setup

package_name = "a1_rqt"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml", "plugin.xml"]),
        (f"share/{package_name}/perspectives", ["perspectives/a1.perspective"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="A1 for ROS 2 developers",
    maintainer_email="a1-ros2@example.org",
    description="Shows a running policy: an rqt plugin, a window of its own, the report of a bag",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "exits = a1_rqt.main:main",
            "photograph = a1_rqt.photograph:main",
            # Lives in a1_views, beside what it shares with the page; nothing here imports it.
            "report = a1_views.report:main",
        ],
    },
)
