"""Loading one classic plugin: its file is executed, and then its `registerCallbacks`."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Final

from sgevents_core.choices import Level
from sgevents_core.classic.literal_keys import literal_keys
from sgevents_core.classic.mailing import Mailer, Mailing
from sgevents_core.classic.python_two import old_syntax, python_two_problem
from sgevents_core.classic.registrar import ClassicRegistrar, plugin_logger
from sgevents_core.errors import (
    ClassicFileError,
    NoRegisterCallbacksError,
    PythonTwoError,
)
from sgevents_core.markers import Match, Matched
from sgevents_core.plugins.guarding import run_guarded
from sgevents_core.plugins.members import Implementation, Members
from sgevents_core.plugins.registrar import CallbackRegistrar
from sgevents_core.plugins.sources import ImportedPlugin
from sgevents_core.settings import SecretTexts

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import FoundPlugin

_PACKAGE: Final = "sgevents_classic"
"""The name under which the modules of classic plugins are in `sys.modules`."""
_ENTRANCE: Final = "registerCallbacks"


@dataclass(frozen=True, slots=True)
class ClassicSource:
    """A file in a classic folder.

    Args:
        path: The file.
        secrets: Takes the keys of scripts that are in it.
        takes_policy: Whether `stopOnError` says what happens on errors, not the plugin's table.
        mailer: Sends mails about its errors; None if none are sent.
        level: The level of its loggers; None for that of the whole log.
    """

    path: Path
    secrets: SecretTexts
    takes_policy: bool = True
    mailer: Mailer | None = None
    level: Level | None = None

    @property
    def metadata_folder(self) -> Path | None:
        """None: no distribution installed the file."""
        return None

    def files(self, plugin: FoundPlugin) -> Iterator[Path]:
        """Yield the file."""
        yield self.path

    def import_plugin(self, plugin: FoundPlugin) -> ImportedPlugin:
        """Execute the file."""
        if self.level is not None:
            plugin_logger(self.path).setLevel(self.level.upper())
        module = self._execute(plugin.name)
        mailing = Mailing(plugin.name, self.mailer)
        register_all = self._registering(module, mailing)
        implementations = [_implementing("register_callbacks", register_all, shown_as=_ENTRANCE)]
        if self.mailer is not None:
            implementations.append(_implementing("callback_failed", mailing.callback_failed))
            implementations.append(_implementing("shutdown", mailing.shutdown))
        return ImportedPlugin(module, Members(implementations=tuple(implementations)))

    def _execute(self, plugin_name: str) -> ModuleType:
        """Return the module of the file, which is in `sys.modules` only if all goes well."""
        path = self.path
        code = compile_file(path, self.secrets)
        module = _new_module(plugin_name, path)
        name = module.__name__
        sys.modules[name] = module
        try:
            run_guarded(f"importing {path}", lambda: exec(code, vars(module)))  # noqa: S102 - a plugin
            _require_entrance(module, path)
        except BaseException as error:
            sys.modules.pop(name, None)
            problem = python_two_problem(error.__cause__, path)
            if problem is not None:
                raise problem from None
            raise
        return module

    def _registering(
        self, module: ModuleType, mailing: Mailing
    ) -> Callable[[CallbackRegistrar], None]:
        """Return the file's function that registers its callbacks."""

        def register_all(registrar: CallbackRegistrar) -> None:
            reg = ClassicRegistrar(
                registrar, self.path, mailing, self.secrets, takes_policy=self.takes_policy
            )
            try:
                vars(module)[_ENTRANCE](reg)
            except Exception as error:
                problem = python_two_problem(error, self.path)
                if problem is not None:
                    raise problem from None
                raise
            mailing.attach_to(reg.logger)

        return register_all


def _require_entrance(module: ModuleType, path: Path) -> None:
    if not callable(vars(module).get(_ENTRANCE)):
        raise NoRegisterCallbacksError(path=path)


def _implementing(hook: str, function: Callable[..., object], shown_as: str = "") -> Implementation:
    return Implementation(
        hook=hook, attribute=shown_as or hook, function=function, matched=Matched(Match())
    )


def compile_file(path: Path, secrets: SecretTexts) -> CodeType:
    """Return the code of a file; note the keys that are written into it.

    Args:
        path: The file.
        secrets: Takes the keys.

    Raises:
        UnusablePluginError: It cannot be read, or is not valid Python 3.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ClassicFileError(path=path, line=1, problem=f"cannot be read: {reason}") from None
    try:
        tree = ast.parse(source, str(path))
        for key in literal_keys(tree):
            secrets.add_text(key)
        return compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno or 1
        found = old_syntax(error)
        if found is not None:
            raise PythonTwoError(path=path, line=line, problem=found) from None
        raise ClassicFileError(path=path, line=line, problem=error.msg) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ClassicFileError(path=path, line=1, problem=str(error)) from None


def module_name(plugin: str) -> str:
    """Return the unique module name of a classic plugin."""
    group, _, stem = plugin.partition(":")[2].rpartition("/")
    return ".".join([_PACKAGE, group.replace(".", "_"), stem.replace(".", "_")])


def _new_module(plugin: str, path: Path) -> ModuleType:
    """Return the module of a plugin, empty, in packages that exist only in memory."""
    name = module_name(plugin)
    group_package = name.rpartition(".")[0]
    for package in (_PACKAGE, group_package):
        if package not in sys.modules:
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = []
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # noqa: S101 - a loader is given
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    return module
