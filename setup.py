"""Install services/, client/ and wps_config/ under the import name candela."""

from setuptools import find_packages, setup

FOLDERS = {
    "candela": "candela",
    "candela.services": "services",
    "candela.client": "client",
    "candela.wps_config": "wps_config",
}

setup(
    package_dir=FOLDERS,
    packages=[
        package
        for root, folder in FOLDERS.items()
        for package in [root, *(f"{root}.{name}" for name in find_packages(folder))]
    ],
    include_package_data=False,
    package_data={
        "": ["*.yaml", "styles/*.yaml", "*.cfg", "*.xz", "py.typed"],
        "candela.models": ["encoders/*"],
        "candela.gateway.console": ["templates/*", "static/**/*"],
    },
)
