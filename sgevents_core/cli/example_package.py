"""The files of an example plugin, renamed for a package of one's own; see `plugins new --example`.

The examples are a distribution of their own, whose sources and tests are read and not imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.errors import ExamplesMissingError, UnknownExampleError
from sgevents_core.settings.spelling import joined_names, nearest_name

EXAMPLE_DISTRIBUTION: Final = "sgevents-plugins-example"
_EXAMPLE_PACKAGE: Final = "sgevents_plugins_example"
_TEST_SUPPORT: Final = ("conftest.py", "desk.py")
"""Files that the tests of every example need."""


class Example(NamedTuple):
    """An example plugin.

    Args:
        name: The name of its entry point.
        module: Its module or package, below that of all examples.
        folder: The folder of the modules of all examples.
        tests_folder: The folder of their tests.
    """

    name: str
    module: str
    folder: Path
    tests_folder: Path


def find_example(name: str) -> Example:
    """Return the example plugin of a name.

    Raises:
        ExamplesMissingError: The distribution of the examples is not installed.
        UnknownExampleError: It has no such plugin.
    """
    modules = _example_modules()
    package_spec = importlib.util.find_spec(_EXAMPLE_PACKAGE)
    if not modules or package_spec is None or not package_spec.submodule_search_locations:
        raise ExamplesMissingError(distribution=EXAMPLE_DISTRIBUTION)
    if name not in modules:
        likely_name = nearest_name(name, modules)
        hint = f"Did you mean {likely_name}?" if likely_name else f"Known: {joined_names(modules)}."
        raise UnknownExampleError(example=name, hint=hint)
    folder = Path(next(iter(package_spec.submodule_search_locations)))
    installed_tests = folder / "example_tests"
    tests_folder = installed_tests if installed_tests.is_dir() else folder.parent / "tests"
    return Example(name, modules[name], folder, tests_folder)


def example_texts(example: Example, name: str, package_folder: str) -> dict[str, str]:
    """Return the files of a new package with an example's code and tests: path -> text.

    Args:
        example: The example.
        name: The new plugin's name.
        package_folder: The name of its import package.
    """
    new_words = {
        f"{_EXAMPLE_PACKAGE}.{example.module}": f"{package_folder}.plugin",
        f'"{example.name}"': f'"{name}"',
    }
    return {path: _reworded(text, new_words) for path, text in _files(example, package_folder)}


def _files(example: Example, package_folder: str) -> Iterator[tuple[str, str]]:
    module_folder = example.folder / example.module
    if module_folder.is_dir():
        for path in sorted(module_folder.rglob("*.py")):
            relative_path = path.relative_to(module_folder).as_posix()
            yield f"{package_folder}/plugin/{relative_path}", path.read_text("utf-8")
    else:
        module_text = module_folder.with_suffix(".py").read_text("utf-8")
        yield f"{package_folder}/plugin.py", module_text
    for file_name in (*_TEST_SUPPORT, f"test_{example.module}.py"):
        new_name = "test_plugin.py" if file_name not in _TEST_SUPPORT else file_name
        yield f"tests/{new_name}", (example.tests_folder / file_name).read_text("utf-8")


def _reworded(text: str, new_words: Mapping[str, str]) -> str:
    for word, new_word in new_words.items():
        text = text.replace(word, new_word)
    return text


def _example_modules() -> dict[str, str]:
    """Return the module of every example, by the name of its entry point."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        entry_points = distribution(EXAMPLE_DISTRIBUTION).entry_points
    except PackageNotFoundError:
        return {}
    return {
        entry_point.name: entry_point.value.removeprefix(f"{_EXAMPLE_PACKAGE}.")
        for entry_point in entry_points
        if entry_point.group == "sgevents.plugins"
    }
