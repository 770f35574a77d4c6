"""Write relbench/data/glyphs.json anew: only for whoever changes what Glyphs is."""

import json
from pathlib import Path

import matplotlib as mpl

import relbench.data
from relbench.data.glyphs_manifest import make_manifest

fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
target = Path(relbench.data.__file__).with_name("glyphs.json")
target.write_text(json.dumps(make_manifest(fonts), indent=1) + "\n", encoding="utf-8")
