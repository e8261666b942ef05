#!/usr/bin/env bash
# A whole build in a directory of its own, as a test:
#   build_job.sh clang       clang 19 compiles everything, warnings as errors; nothing is run
#   build_job.sh sanitized   gcc with AddressSanitizer and UBSan into build-asan; further tests run what it makes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache)
case ${1:-} in
  clang)
    command -v clang++-19 >/dev/null || { echo "skipped: clang++-19 is not installed"; exit 77; }
    dir=build-clang
    flags=(-DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 "-DCMAKE_CXX_FLAGS=-O0" "-DCMAKE_C_FLAGS=-O0")
    ;;
  sanitized)
    dir=build-asan
    flags=(-DTENON_SANITIZE=address,undefined "-DCMAKE_CXX_FLAGS=-O1 -g1" "-DCMAKE_C_FLAGS=-O1 -g1")
    ;;
  *) echo "usage: build_job.sh clang|sanitized" >&2; exit 2 ;;
esac
# A build type that CMake knows no flags for, so that the flags above are all there are.
cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=Plain -DTENON_TESTS=ON "${flags[@]}" "${launcher[@]}"
cmake --build "$dir"
