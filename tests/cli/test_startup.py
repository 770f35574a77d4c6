"""What a help text costs: it must not wait for libraries that only work needs."""

import json
import os
import subprocess
import sys

HEAVY = ["torch", "torchvision", "scipy", "matplotlib", "pandas", "numpy", "faiss", "lightning_fabric"]
CALLS = """
import json, sys
from relbench.__main__ import main
calls, heavy = json.loads(sys.argv[1])
for call in calls:
    try:
        main(call)
    except SystemExit as end:
        print(json.dumps([call, end.code, [name for name in heavy if name in sys.modules]]), file=sys.stderr)
"""


def called(*calls):
    """Of calls in one fresh process: arguments, exit code, heavy modules imported so far; and what was printed."""
    script = [sys.executable, "-c", CALLS, json.dumps([calls, HEAVY])]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[[")]
    assert len(told) == len(calls)
    return told, done.stdout


def test_no_help_text_waits_for_a_heavy_library():
    names = ("reproduce", "compare", "report", "evaluate", "export", "power", "list", "settings", "bench", "watch")
    commands = [[name] for name in names]
    commands += [["data", name] for name in ("list", "fetch", "verify", "show", "add")]
    commands += [["study", "show"], ["distill"]]
    helps = [[*command, option] for command in [[], ["data"], ["study"], *commands] for option in ("--help", "-h")]
    told, _ = called(["--version"], *helps)
    assert [(code, heavy) for _, code, heavy in told] == [(0, [])] * len(told)


def test_a_misspelt_command_is_refused_without_waiting():
    assert called(["repoduce"])[0] == [[["repoduce"], 2, []]]


def test_the_version_is_told():
    assert called(["--version"])[1].startswith("relbench 0.")


def test_settings_need_no_plots_and_no_ready_made_networks():
    ((_, code, heavy),), _ = called(["settings", "quickstart"])
    assert code == 0
    # losses are torch's; data sets and tasks are asked which settings they have
    assert set(heavy) <= {"torch", "numpy", "pandas", "scipy"}


ODD = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as Jupyter and Colab set it for whatever they start
    "COLUMNS": "no number",
    "LC_ALL": "C",
    "TERM": "",
    "SLURM_NTASKS": "4",
}


LISTED = """
from relbench.__main__ import main
try:
    main(["list"])
except SystemExit as end:
    assert not end.code
import relbench.report.figures.canvas
"""


def test_an_odd_environment_stops_nothing():
    done = subprocess.run(
        [sys.executable, "-c", LISTED], env=os.environ | ODD, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"studies" in done.stdout


def test_a_terminal_that_is_closed():
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m relbench --version >&- 2>&-"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
