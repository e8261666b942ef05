// plugin-sdk/ops.md is the catalogue's own text. With TENON_WRITE_DOCS set this writes it instead of comparing.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fixtures.hpp"
#include "graph/catalogue.hpp"

namespace {

std::string ops_document() {
  std::ostringstream out;
  out << "# The op vocabulary\n\n"
         "Ops that a plugin may use, each with operands, results and attributes. T: tokens of a step, R: rows that "
         "want\n"
         "logits; \"...\" stands for any leading dimensions. Attributes without a default are required. This page is\n"
         "written from the host's catalogue by the unit test that compares the two.\n";
  for (const tenon::OpDef& op : tenon::all_ops()) {
    if (op.id.starts_with("host.")) continue;
    out << "\n## " << op.id << "\n```\n" << op.contract;
    if (!op.contract.ends_with('\n')) out << "\n";
    out << "```\n";
  }
  return out.str();
}

}  // namespace

TEST_CASE("the SDK's op document is current") {
  const auto path = tenon::test::source_dir() / "plugin-sdk" / "ops.md";
  if (std::getenv("TENON_WRITE_DOCS")) std::ofstream(path) << ops_document();
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  CHECK(text.str() == ops_document());
}
