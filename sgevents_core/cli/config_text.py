"""The text of a new configuration file, with comments for its readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from string import Template
from typing import Final, NamedTuple

from sgevents_core.printable import escaped_toml

SANDBOX_PORT: Final = 8020
"""The sandbox's default address, used in a configuration for it."""

_CONFIG_TEMPLATE: Final = Template("""\
# The configuration of sgevents. `sgevents check` looks it over before anything runs.
# Durations are written like "250ms", "1s", "5m", "1h30m" or "7d".

[site]
$about_site
url = $url
script_name = $script_name
api_key = $api_key
# http_proxy = "host:8080"
# ca_certs = "certificates.pem"      # where the site's certificate is the studio's own
# timeout = "60s"                    # how long one answer may take

[feed]
start = "now"                        # at the first start; or an id, a date and time, "7d" ago
# poll_interval = "1s"               # how often to ask while events come
# idle_interval = "5s"               # how often to ask while none come
# backlog_timeout = "5m"             # how long to wait for an id that is missing
# settle = "0s"                      # hold events back this long, so that late ones keep id order

[state]
path = "state"                       # a folder on a local disk, beside this file unless absolute
# retention = "30d"                  # how long handled events are kept

[log]
# level = "info"                     # debug, info, warning, error or critical
# format = "auto"                    # human on a terminal, JSON elsewhere; or "human", "json"
# file = "sgevents.log"

# Plugins are called in the order of their groups, within a group by name. Those without a group
# come last.
# [[groups]]
# name = "first"

$plugins""")

_PLUGIN_TEMPLATE: Final = Template("""\
[plugins.$name]                      # $origin
enabled = false
# group = "first"
# on_error = "dead-letter"           # after max_attempts; or "pause", "skip"
# [plugins.$name.settings]           # the plugin's own settings
""")

_NO_PLUGINS_TEXT: Final = """\
# No plugin is installed yet. After `pip install NAME`, `sgevents plugins list` knows its name.
# [plugins.NAME]
# enabled = true
# [plugins.NAME.settings]            # the plugin's own settings
"""

_ABOUT_SANDBOX: Final = "# The sandbox, which stands in for a site: `sgevents sandbox` serves it."
_ABOUT_SITE: Final = "# The site, and the script (Admin > Scripts on the site) to sign in as."


class ListedPlugin(NamedTuple):
    """A plugin to list: the name of its entry point, and its origin, in one line."""

    name: str
    origin: str


class SiteChoice(NamedTuple):
    """The site and script to write; `api_key` is TOML: a string or a reference."""

    url: str
    script_name: str
    api_key: str
    is_sandbox: bool = False

    @property
    def key_place(self) -> str:
        """The place to put the key, for people; empty if the file holds it."""
        if not self.api_key.startswith("{"):
            return ""
        reference_form, _, key_name = self.api_key.strip("{ }").partition(" = ")
        return f"{reference_form.replace('env', 'environment variable')} {key_name}"


def config_text(site: SiteChoice, plugins: Sequence[ListedPlugin]) -> str:
    """Return a complete configuration for `site` that lists `plugins`, all disabled."""
    plugin_tables = [
        _PLUGIN_TEMPLATE.substitute(name=_toml_key(plugin.name), origin=plugin.origin)
        for plugin in plugins
    ]
    return _CONFIG_TEMPLATE.substitute(
        about_site=_ABOUT_SANDBOX if site.is_sandbox else _ABOUT_SITE,
        url=toml_string(site.url),
        script_name=toml_string(site.script_name),
        api_key=site.api_key,
        plugins="\n".join(plugin_tables) or _NO_PLUGINS_TEXT,
    )


def secret_reference(reference_form: str, key_name: str) -> str:
    """Return TOML for a key kept elsewhere: the form is `env` or `file`."""
    return f"{{ {reference_form} = {toml_string(key_name)} }}"


def toml_string(plain_text: str) -> str:
    """Return `plain_text` as a TOML string."""
    return escaped_toml(json.dumps(plain_text, ensure_ascii=False))


def _toml_key(key_name: str) -> str:
    is_bare_key = key_name.isascii() and key_name.replace("-", "").replace("_", "").isalnum()
    return key_name if is_bare_key else toml_string(key_name)
