"""The project's chores: `python3 noxfile.py -s NAME`, or `nox -s NAME` where nox is installed.

Run as a script it needs Python and pip alone: it puts nox into an environment of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
WORKSHOP = ROOT / ".nox"
NOX_HOME = WORKSHOP / "nox-itself"
NOX_VERSION = ">=2025.11.12"
PIP_OPTIONS = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_ROOT_USER_ACTION": "ignore",
}

os.environ.pop("PYTHONPATH", None)  # studios set it, and its packages would hide those of a session


def run_in_own_environment(arguments: list[str]) -> NoReturn:
    """Replace this process by nox, in an environment made for it if there is none yet.

    Args:
        arguments: What nox is told.
    """
    if sys.version_info < (3, 10):  # noqa: UP036 - whatever Python there is reads this
        sys.exit(f"sgevents needs Python 3.10 or newer; this is {sys.version.split()[0]}")
    python = NOX_HOME / "bin" / "python"
    ready = [str(python), "-c", "import nox"]
    if not python.exists() or subprocess.call(ready, stderr=subprocess.DEVNULL) != 0:
        make_nox_home(python)
    os.chdir(ROOT)
    os.execv(python, [str(python), "-m", "nox", *arguments])


def make_nox_home(python: Path) -> None:
    """Install nox into an environment of its own, with the pip of the running Python.

    Debian's Python may have no `ensurepip` and refuses to install beside its own packages; neither
    matters to an environment without pip that is installed into as a folder.
    """
    if importlib.util.find_spec("pip") is None:
        sys.exit(f"{sys.executable} has no pip; install it (on Debian: apt install python3-pip)")
    print("Making an environment for nox in .nox (once) ...", flush=True)
    subprocess.check_call([sys.executable, "-m", "venv", "--clear", "--without-pip", NOX_HOME])
    packages = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')"], text=True
    )
    subprocess.check_call(
        [sys.executable, "-m", "pip", "install", "-q", "--target", packages, f"nox{NOX_VERSION}"],
        env={**os.environ, **PIP_OPTIONS},
    )


if __name__ == "__main__":
    run_in_own_environment(sys.argv[1:])

import nox  # noqa: E402 - not there yet when this file is run as a script
from packaging.requirements import Requirement  # noqa: E402 - comes with nox

PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
SOURCES = ["sgevents_core", "sgevents_plugins_example", "tests", "docs", "noxfile.py"]

IN_TWO_PROCESSES = ["--numprocesses", "2", "--dist", "loadfile"]

nox.needs_version = NOX_VERSION
nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # tests-all says which it left out
nox.options.reuse_existing_virtualenvs = True


def put_pyenv_on_path() -> None:
    """Let nox find the Pythons that pyenv has installed; its shims run only the chosen ones."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = [entry for entry in os.get_exec_path() if Path(entry) != home / "shims"]
    path += [str(entry) for entry in sorted(home.glob("versions/3.*/bin"))]
    os.environ["PATH"] = os.pathsep.join(path)


put_pyenv_on_path()
built: list[str] = []


def wheels(session: nox.Session) -> list[str]:
    """Build the wheels of both distributions, once a run; their paths."""
    if not built:
        folder = WORKSHOP / "wheels"
        shutil.rmtree(folder, ignore_errors=True)
        session.log("building the wheels of sgevents-core and sgevents-plugins-example")
        session.run(
            *("pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(folder)),
            *(".", "./sgevents_plugins_example"),
            silent=True,
        )
        built.extend(str(wheel) for wheel in sorted(folder.glob("*.whl")))
    return built


def install(session: nox.Session, *groups: str, constraints: Path | None = None) -> None:
    """Install both distributions as built wheels, and the dependency groups named."""
    requirements = nox.project.dependency_groups(PYPROJECT, *groups)
    limits = ("--constraint", str(constraints)) if constraints else ()
    session.install(*wheels(session), *requirements, *limits)
    # The same version again, from newer sources: pip would leave what is there.
    session.install("--force-reinstall", "--no-deps", *wheels(session))


@nox.session(reuse_venv=False)
def demo(session: nox.Session) -> None:
    """Show the main job in a fresh environment: a sandbox site, the daemon, plugins."""
    session.install(*wheels(session))
    session.run("sgevents", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on the running Python, against the installed wheels: all in two processes.

    What follows `--` goes to pytest instead.
    """
    install(session, "test")
    session.run("pytest", *(session.posargs or IN_TWO_PROCESSES))


@nox.session(name="tests-all", python=PYTHONS)
def tests_all(session: nox.Session) -> None:
    """Run the tests on every supported Python that is found; the others are told as skipped."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session(name="tests-lowest", python=PYTHONS[0])
def tests_lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions of the direct dependencies that are allowed."""
    lowest = Path(session.create_tmp()) / "lowest.txt"
    lowest.write_text("".join(f"{pin}\n" for pin in lowest_versions()))
    install(session, "test", constraints=lowest)
    session.run("pytest", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run random schedules of feed and daemon, 100,000 or what follows `--` says, on all cores.

    Then Prometheus scrapes a daemon that meets faults for two and a half minutes.
    """
    install(session, "test")
    session.run("python", "tests/faults/soak.py", *session.posargs)
    session.run("python", "tests/metrics/soak_figures.py")


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill, freeze and cut off three hosts and their NATS servers; `-- --minutes 20`."""
    install(session, "test")
    session.run("python", "tests/support/chaos_run.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, and write the figures into the documentation; `-- --only 4` takes one benchmark."""
    install(session, "test")
    session.run("python", "tests/benchmarks/bench.py", *session.posargs)


def lowest_versions() -> list[str]:
    """The direct dependencies, those of the extras too, each pinned to its lower bound."""
    project = PYPROJECT["project"]
    texts = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    bounds = [bound for bound in map(Requirement, texts) if not bound.marker]
    return [
        f"{bound.name}=={limit.version}"
        for bound in bounds
        for limit in bound.specifier
        if limit.operator == ">="
    ]


@nox.session
def lint(session: nox.Session) -> None:
    """Look for mistakes, the format, and imports against the layers."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *SOURCES)
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    requirements = nox.project.dependency_groups(PYPROJECT, "types")
    session.install(*PYPROJECT["project"]["dependencies"], *requirements)
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build; a warning is an error."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build", *session.posargs)
    session.log("read it at docs/_build/index.html")


@nox.session(venv_backend="none")
def develop(session: nox.Session) -> None:
    """Make .venv: both distributions, editable, and the tools of the other sessions."""
    session.run(sys.executable, "-m", "virtualenv", ".venv")
    requirements = nox.project.dependency_groups(PYPROJECT, "test", "lint", "types", "docs")
    editable = ("-e", ".", "-e", "./sgevents_plugins_example")
    session.run(".venv/bin/python", "-m", "pip", "install", "-q", *editable, *requirements)
