// Mapped and read files, and the digest.
#include "base/mapped_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>

#include "base/error.hpp"

using namespace tenon;
namespace fs = std::filesystem;

namespace {

struct TempDir {
  TempDir() {
    std::string name = (fs::temp_directory_path() / "tenon-base-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TempDir() { fs::remove_all(path); }
  fs::path path;
};

ErrorCode code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::internal;
}

}  // namespace

TEST_CASE("mapping and reading regular files only") {
  TempDir dir;
  std::ofstream(dir.path / "f") << "hello";
  std::ofstream(dir.path / "empty");
  REQUIRE(::mkfifo((dir.path / "pipe").c_str(), 0600) == 0);

  const auto mapped = MappedFile::open(dir.path / "f");
  CHECK(std::string(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size()) == "hello");
  CHECK(MappedFile::open(dir.path / "empty")->bytes().empty());
  CHECK(read_file(dir.path / "f") == "hello");
  CHECK(read_file(dir.path / "empty").empty());

  CHECK(code_of([&] { MappedFile::open(dir.path / "absent"); }) == ErrorCode::not_found);
  CHECK(code_of([&] { MappedFile::open(dir.path / "f" / "below"); }) == ErrorCode::not_found);
  CHECK(code_of([&] { MappedFile::open(dir.path); }) == ErrorCode::io);
  CHECK(code_of([&] { MappedFile::open(dir.path / "pipe"); }) == ErrorCode::io);
  CHECK(code_of([&] { read_file(dir.path / "pipe"); }) == ErrorCode::io);
  CHECK(code_of([&] { read_file(dir.path / "absent"); }) == ErrorCode::not_found);
  CHECK(code_of([&] { read_file(dir.path / "f", 4); }) == ErrorCode::capacity);
}

TEST_CASE("SHA-256 of the standard's own examples") {
  CHECK(sha256_hex({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string abc = "abc";
  CHECK(sha256_hex(std::as_bytes(std::span(abc))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
