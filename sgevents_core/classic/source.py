"""Loading one classic plugin: its file is executed, and then its `registerCallbacks`."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from sgevents_core.choices import Level
from sgevents_core.classic.literal_keys import literal_keys
from sgevents_core.classic.mailing import Mailer, Mailing
from sgevents_core.classic.main_thread import MainThreadUse, main_thread_uses
from sgevents_core.classic.python_two import python_two_problem
from sgevents_core.classic.registrar import ClassicRegistrar, plugin_logger
from sgevents_core.classic.source_problems import problem_of
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
        is_in_main_thread: Whether its calls are made in the main thread, as in the classic daemon.
    """

    path: Path
    secrets: SecretTexts
    takes_policy: bool = True
    mailer: Mailer | None = None
    level: Level | None = None
    is_in_main_thread: bool = False

    @property
    def metadata_folder(self) -> Path | None:
        """None: no distribution installed the file."""
        return None

    def files(self, plugin_name: FoundPlugin) -> Iterator[Path]:
        """Yield the file."""
        yield self.path

    def import_plugin(self, plugin_name: FoundPlugin) -> ImportedPlugin:
        """Execute the file."""
        if self.level is not None:
            plugin_logger(self.path).setLevel(self.level.upper())
        compiled_file = compile_file(self.path, self.secrets)
        plugin_module = self._execute(plugin_name.name, compiled_file.code)
        plugin_mailing = Mailing(plugin_name.name, self.mailer)
        thread_warnings = [] if self.is_in_main_thread else compiled_file.main_thread_uses
        register_all = self._registering(plugin_module, plugin_mailing, thread_warnings)
        implementations = [_implementing("register_callbacks", register_all, shown_as=_ENTRANCE)]
        if self.mailer is not None:
            implementations.append(_implementing("callback_failed", plugin_mailing.callback_failed))
            implementations.append(_implementing("shutdown", plugin_mailing.shutdown))
        return ImportedPlugin(plugin_module, Members(implementations=tuple(implementations)))

    def _execute(self, plugin_name: str, module_code: CodeType) -> ModuleType:
        """Return the module of the file, which is in `sys.modules` only if all goes well."""
        file_path = self.path
        plugin_module = _new_module(plugin_name, file_path)
        module_name = plugin_module.__name__
        sys.modules[module_name] = plugin_module
        try:
            run_guarded(f"importing {file_path}", lambda: exec(module_code, vars(plugin_module)))  # noqa: S102 - a plugin
            _require_entrance(plugin_module, file_path)
        except BaseException as raised_error:
            sys.modules.pop(module_name, None)
            python_two_error = python_two_problem(raised_error.__cause__, file_path)
            if python_two_error is not None:
                raise python_two_error from None
            raise
        return plugin_module

    def _registering(
        self,
        plugin_module: ModuleType,
        plugin_mailing: Mailing,
        main_thread_uses: Sequence[MainThreadUse],
    ) -> Callable[[CallbackRegistrar], None]:
        """Return the file's function that registers its callbacks."""

        def register_all(registrar: CallbackRegistrar) -> None:
            classic_registrar = ClassicRegistrar(
                registrar,
                self.path,
                plugin_mailing,
                self.secrets,
                takes_policy=self.takes_policy,
            )
            try:
                vars(plugin_module)[_ENTRANCE](classic_registrar)
            except Exception as raised_error:
                python_two_error = python_two_problem(raised_error, self.path)
                if python_two_error is not None:
                    raise python_two_error from None
                raise
            classic_registrar.finish()
            registrar.warnings.extend(
                f"{self.path}:{main_thread_use.line}: {main_thread_use.warning}"
                for main_thread_use in main_thread_uses
            )
            plugin_mailing.attach_to(classic_registrar.logger)

        return register_all


def _require_entrance(plugin_module: ModuleType, file_path: Path) -> None:
    if not callable(vars(plugin_module).get(_ENTRANCE)):
        raise NoRegisterCallbacksError(path=file_path)


def _implementing(
    hook_name: str, hook_function: Callable[..., object], shown_as: str = ""
) -> Implementation:
    return Implementation(
        hook=hook_name,
        attribute=shown_as or hook_name,
        function=hook_function,
        matched=Matched(Match()),
    )


class CompiledFile(NamedTuple):
    """The code of a file, and what in it needs calls in the main thread."""

    code: CodeType
    main_thread_uses: Sequence[MainThreadUse]


def compile_file(file_path: Path, secret_texts: SecretTexts) -> CompiledFile:
    """Return the code of a file; note the keys that are written into it.

    Args:
        file_path: The file.
        secret_texts: Takes the keys.

    Raises:
        UnusablePluginError: It cannot be read, or is not valid Python 3.
    """
    try:
        source_bytes = file_path.read_bytes()
    except OSError as raised_error:
        reason_text = raised_error.strerror or str(raised_error)
        raise ClassicFileError(
            path=file_path, line=1, problem=f"cannot be read: {reason_text}"
        ) from None
    try:
        syntax_tree = ast.parse(source_bytes, str(file_path))
        for script_key in literal_keys(syntax_tree):
            secret_texts.add_text(script_key)
        module_code = compile(syntax_tree, str(file_path), "exec", dont_inherit=True)
        return CompiledFile(module_code, main_thread_uses(syntax_tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as parse_error:
        source_problem = problem_of(parse_error, source_bytes)
        error_class = PythonTwoError if source_problem.is_python_two else ClassicFileError
        raise error_class(
            path=file_path, line=source_problem.line, problem=source_problem.text
        ) from None


def module_name(plugin_name: str) -> str:
    """Return the unique module name of a classic plugin: a dot in a file's name becomes `%2E`."""
    group_name, _, file_stem = plugin_name.partition(":")[2].rpartition("/")
    name_parts = [_PACKAGE, group_name, file_stem]
    return ".".join(name.replace("%", "%25").replace(".", "%2E") for name in name_parts)


def _new_module(plugin_name: str, file_path: Path) -> ModuleType:
    """Return the module of a plugin, empty, in packages that exist only in memory."""
    name = module_name(plugin_name)
    group_package = name.rpartition(".")[0]
    for package_name in (_PACKAGE, group_package):
        if package_name not in sys.modules:
            sys.modules[package_name] = ModuleType(package_name)
            sys.modules[package_name].__path__ = []
    source_loader = SourceFileLoader(name, str(file_path))
    module_spec = importlib.util.spec_from_file_location(name, file_path, loader=source_loader)
    assert module_spec is not None  # noqa: S101 - a loader is given
    plugin_module = importlib.util.module_from_spec(module_spec)
    plugin_module.__file__ = str(file_path)
    return plugin_module
