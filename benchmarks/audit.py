"""Look up all pinned dependencies in the public list of known vulnerabilities (needs the internet)."""

import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def main() -> None:
    """Install pip-audit, which is not a dependency of nnlab, and run it; exit with its status."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pip-audit"]
    subprocess.run(pip, check=True)
    audit = ["pip_audit", "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
    sys.exit(subprocess.run([sys.executable, "-m", *audit]).returncode)


if __name__ == "__main__":
    main()
