"""What each key of the configuration means: what an editor shows, and the page on it says too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "site": {
        "url": (
            "The site's address, with `https://` and nothing behind the host. A path gets a "
            "warning; a user, a password or a query in it is refused."
        ),
        "script_name": "The script to sign in as, from the site's Scripts page.",
        "api_key": "The script's key.",
        "http_proxy": "The proxy to go through, `host:port` or `user:password@host:port`.",
        "ca_certs": (
            "A file of certificates to trust, where the site's own is not signed by a public "
            "authority. It must exist."
        ),
        "timeout": 'How long one call of the site may take in all, at least `"1s"`.',
    },
    "feed": {
        "poll_interval": 'How often the site is asked while events come, at least `"10ms"`.',
        "idle_interval": (
            "How often the site is asked when none have come for three minutes, reached little "
            "by little; not shorter than `poll_interval`."
        ),
        "backlog_timeout": (
            "How long a missing id is waited for, counted while the site answers. Audits go "
            "on looking after that."
        ),
        "settle": (
            "How long rows above a gap are held back, so that late rows keep the order of "
            "ids. Shorter than `backlog_timeout`."
        ),
        "page_size": (
            "Rows in one read, from 2 to 5000 (pages overlap by one row). Sites give at most "
            "500 as a rule."
        ),
        "start": (
            "Where the first start begins; not ahead of the site's newest event. Later starts go "
            "on where the last one ended."
        ),
        "audit_horizon": (
            "How long audits look for rows that are missing; at least `backlog_timeout`."
        ),
        "fields": "Fields of EventLogEntry to read besides the usual ones.",
    },
    "state": {
        "path": "The folder they are in, on a local disk. It is made if it is not there.",
        "retention": "How long events are kept that every enabled plugin has handled.",
    },
    "groups": {
        "name": "The group's name; each is listed once.",
        "lane": (
            "The lane that works through the group; the lane `default` if left out. A lane "
            "needs no table of its own; a name that is nearly that of another lane's table is"
            " taken for a mistake."
        ),
    },
    "lanes": {
        "workers": "How many work side by side. This version: `1`.",
        "order_by": (
            'What is kept in order between several workers: `"entity"`, `"project"` or '
            '`"none"`. This version: `"none"`.'
        ),
        "executor": '`"thread"` or `"process"`. This version: `"thread"`.',
        "timeout": (
            'How long a callback of the lane\'s plugins may take, at least `"10ms"`; any time '
            "if left out. One that takes longer is given up, and its plugin waits for it."
        ),
        "max_rss": "The memory a worker process may have, in bytes. This version: leave it out.",
    },
    "plugins": {
        "enabled": "Whether it runs. A plugin that is not enabled is never imported.",
        "group": "Its group, one of `[[groups]]`; the group `default` if left out.",
        "start": (
            "Where it begins when it is enabled for the first time; the journal's end if left out."
        ),
        "script_name": (
            "The script it signs in as; that of `[site]` if left out. Goes with `api_key`."
        ),
        "api_key": "That script's key.",
        "on_error": (
            'What happens when a callback fails for good: `"dead-letter"` keeps the event and'
            ' goes on, `"pause"` stops the plugin at it, `"skip"` records it and goes on.'
        ),
        "max_attempts": "How often a callback is tried before it has failed for good, at least 1.",
        "pause_after": "After how many dead letters in a row the plugin is paused, at least 1.",
        "timeout": (
            'How long a callback of it may take, at least `"10ms"`; the lane\'s `timeout` if '
            "left out. `@match(timeout=...)` of one callback comes before both."
        ),
        "load_timeout": (
            'How long each step of loading it may take, at least `"100ms"`: its import, '
            "`settings_model`, `register_callbacks`, `startup`, `shutdown`. One that takes longer "
            "makes the plugin broken, and the others run."
        ),
        "ignore_own": (
            "Whether events that the plugin's own script caused, also in a user's name "
            "(sudo), are kept from it. Needs a `script_name` that no other plugin and not "
            "`[site]` has."
        ),
        "breaker_events": "How many of its own events make a loop; `0` lets it go on for ever.",
        "breaker_within": 'In how much time; at least `"1s"`.',
        "distribution": (
            "The distribution that must provide it; another one that claims its name is refused."
        ),
        "version": 'The versions that may run, as in `">=1.2,<2"`.',
        "settings": "The plugin's own settings.",
    },
    "log": {
        "level": (
            '`"debug"`, `"info"`, `"warning"`, `"error"` or `"critical"`; records below it '
            "are dropped."
        ),
        "format": '`"human"`, `"json"`, or `"auto"`: human on a terminal, JSON elsewhere.',
        "file": "A file to write to as well.",
        "per_plugin": "Whether each plugin gets a file of its own, beside `file`.",
        "keep": "How many old files are kept.",
        "levels": 'Levels of single plugins: `[log.levels]`, `NAME = "debug"`.',
    },
}
"""Section -> key -> meaning, in Markdown without links."""
