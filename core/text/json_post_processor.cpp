// The "post_processor" member of tokenizer.json: which tokens go around a single text. What it says of pairs and of
// offsets does not matter here.
#include "base/error.hpp"
#include "text/json_fields.hpp"
#include "text/json_models.hpp"

namespace tenon {

namespace {

constexpr const char* kPlace = "post_processor";

class PostProcessor {
 public:
  explicit PostProcessor(TokenizerBuilder& builder) : b_(builder) {}

  void read(const Value& post, int depth) {
    if (post.is_null()) return;
    if (depth > 16) fail(ErrorCode::bad_model, "[tokenizer.json] post_processor nested deeper than 16");
    const std::string type = json_string(post, "type", kPlace);
    if (type == "Sequence") {
      for (const Value& p : json_array(post, "processors", kPlace)) read(p, depth + 1);
    } else if (type == "TemplateProcessing") {
      read_template(post);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      wrap({pair_id(json_member(post, "cls", kPlace))}, {pair_id(json_member(post, "sep", kPlace))});
    } else if (type != "ByteLevel") {  // which trims offsets
      fail(ErrorCode::unsupported, "[tokenizer.json] post_processor type '{}'", type);
    }
  }

 private:
  // A later processor goes around what earlier ones made.
  void wrap(const std::vector<int32_t>& before, const std::vector<int32_t>& behind) {
    b_.prefix().insert(b_.prefix().begin(), before.begin(), before.end());
    b_.suffix().insert(b_.suffix().end(), behind.begin(), behind.end());
  }

  int32_t pair_id(const Value& v) const {
    if (!v.is_array() || v.as_array().size() != 2) fail(ErrorCode::bad_model, "[tokenizer.json] no [token, id] pair");
    return known(json_id(v.as_array()[1], "a post-processor token"));
  }

  int32_t known(int32_t id) const {
    if (!b_.vocabulary().contains(id))
      fail(ErrorCode::bad_model, "[tokenizer.json] post_processor names id {}, the vocabulary has {}", id,
           b_.vocabulary().size());
    return id;
  }

  void read_template(const Value& post) {
    const Value* tokens = post.find("special_tokens");
    std::vector<int32_t> around[2];
    size_t texts = 0;
    for (const Value& item : json_array(post, "single", kPlace)) {
      if (item.find("Sequence")) {
        ++texts;
        continue;
      }
      const std::string name = json_string(json_member(item, "SpecialToken", kPlace), "id", kPlace);
      const Value* entry = tokens ? tokens->find(name) : nullptr;
      if (!entry)
        fail(ErrorCode::bad_model, "[tokenizer.json] post_processor names '{}', which it does not define", name);
      for (const Value& id : json_array(*entry, "ids", kPlace))
        around[texts > 0 ? 1 : 0].push_back(known(json_id(id, "a post-processor token")));
    }
    if (texts != 1)
      fail(ErrorCode::unsupported, "[tokenizer.json] a post_processor template with the text in {} places", texts);
    wrap(around[0], around[1]);
  }

  TokenizerBuilder& b_;
};

}  // namespace

void read_post_processor(TokenizerBuilder& builder, const Value& json) { PostProcessor(builder).read(json, 0); }

}  // namespace tenon
