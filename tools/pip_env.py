"""A Python environment per set of pinned packages, under the user's cache; made at the first call."""
import os
import pathlib
import subprocess
import sys


def python_with(name, *packages):
    """The interpreter of the environment `name` that holds exactly these packages (and what they need)."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "tenon" / "python" / name
    python, complete, want = folder / "bin" / "python", folder / "complete", " ".join(packages)
    if not complete.exists() or complete.read_text() != want:
        print(f"{pathlib.Path(sys.argv[0]).name}: installing {want} into {folder}", file=sys.stderr)
        for command in ([sys.executable, "-m", "venv", "--clear", folder],
                        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]):
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                sys.exit(f"{pathlib.Path(sys.argv[0]).name}: error: {command[0]}: {done.stderr.strip()[-300:]}")
        complete.write_text(want)
    return python


def rerun_with(name, *packages):
    """Runs this program again in the environment `name`, unless it runs there already."""
    if os.environ.get("TENON_PYTHON_ENV") == name:
        return
    python = str(python_with(name, *packages))
    os.environ["TENON_PYTHON_ENV"] = name
    os.execv(python, [python, *sys.argv])
