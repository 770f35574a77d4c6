"""The reference of settings: all keys of `--set` that some study has, but for options of losses."""

from generators.markdown import code, plain, table
from relbench.studies import STUDIES
from relbench.studies.setting_list import settings_of


def settings() -> str:
    """A table of keys, what they mean, and what they can be."""
    found = {key: setting for name in STUDIES for setting in settings_of(name) for key in setting.values}
    rows = [
        [code(key), plain(setting.meaning), plain(setting.choices)]
        for key, setting in sorted(found.items(), key=lambda item: item[0].split(".")[0])
        if not key.startswith("terms.")
    ]
    return table(["key", "meaning", "can be"], rows)
