"""Write relbench/data/glyphs/glyphs.json anew: only for whoever changes what Glyphs is."""

import json
from pathlib import Path

import matplotlib as mpl

import relbench.data.glyphs
from relbench.data.glyphs.manifest import make_manifest

fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
target = Path(relbench.data.glyphs.__file__).with_name("glyphs.json")
target.write_text(json.dumps(make_manifest(fonts), indent=1) + "\n", encoding="utf-8")
