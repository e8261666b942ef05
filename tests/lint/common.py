"""What the lint tests share: the repository's root and its tracked files."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tracked(*folders):
    """Tracked and new files below the folders as paths relative to ROOT, or all files where there is no git."""
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                              "--", *folders], capture_output=True)
    if listing.returncode == 0 and listing.stdout:
        names = sorted(set(listing.stdout.decode().split("\0")) - {""})
        return [pathlib.Path(n) for n in names if (ROOT / n).is_file()]
    return sorted(p.relative_to(ROOT) for f in folders for p in (ROOT / f).rglob("*") if p.is_file())


def is_cpp(path):
    return path.suffix in (".cpp", ".hpp", ".h", ".c")


def report(what, problems):
    """Prints the problems and returns the exit status."""
    for problem in problems:
        print(problem)
    print(f"{what}: {'ok' if not problems else f'{len(problems)} problem(s)'}")
    return 1 if problems else 0
