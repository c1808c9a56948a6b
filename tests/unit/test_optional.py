"""What may be installed beside the package and need not be."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("module", "library"), [("aio", "anyio"), ("scapy", "scapy")])
def test_what_is_missing_is_said(module: str, library: str) -> None:
    """Without its library a module is not to be had, and the error says what to install."""
    code = (
        "import sys\n"
        f"sys.modules[{library!r}] = None\n"
        "from vecwire import UnsupportedError\n"
        "try:\n"
        f"    import vecwire.{module}\n"
        "except UnsupportedError as error:\n"
        "    print(error, error.remedy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        f"vecwire.{module} needs {library}, which is not installed pip install 'vecwire[{module}]'"
    )


def test_the_package_imports_none_of_them() -> None:
    """Neither numpy nor anyio nor scapy is imported by the package itself."""
    code = (
        "import sys, vecwire, vecwire.testing, vecwire.cli\n"
        "print({'numpy', 'anyio', 'trio', 'scapy'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
