"""Install services/ and client/ under candela.services and candela.client."""

from setuptools import find_packages, setup

FOLDERS = {"candela": "candela", "candela.services": "services", "candela.client": "client"}

setup(
    package_dir=FOLDERS,
    packages=[
        package
        for root, folder in FOLDERS.items()
        for package in [root, *(f"{root}.{name}" for name in find_packages(folder))]
    ],
    package_data={
        "": ["*.yaml", "*.html", "*.js", "*.css", "*.png", "*.svg", "*.onnx", "*.keras", "py.typed"]
    },
)
