#!/usr/bin/env bash
# Every C++ file is as clang-format 19 leaves it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
command -v clang-format-19 >/dev/null || { echo "skipped: clang-format-19 is not installed"; exit 77; }
if ! git rev-parse --git-dir >/dev/null 2>&1; then
  echo "skipped: not a git checkout, so the project's own files are not known"
  exit 77
fi
present() { while IFS= read -r -d '' file; do if [ -f "$file" ]; then printf '%s\0' "$file"; fi; done; }
bad=$(git ls-files -z '*.cpp' '*.hpp' '*.h' '*.c' | present |
  { xargs -0 -r -n 40 clang-format-19 --dry-run -Werror 2>&1 || true; } | sed -n 's/^\([^ :]*\):\([0-9]*\):[0-9]*: error.*/\1:\2/p' |
  sort -u -t: -k1,1)
if [ -n "$bad" ]; then
  printf '%s\n' "$bad"
  echo "format: $(wc -l <<<"$bad") file(s) differ from clang-format-19 -i"
  exit 1
fi
echo "format: ok"
