// Keys of config.json that describe no computation: bookkeeping, training and generation defaults.
#pragma once

#include <span>
#include <string_view>

namespace tenon {

inline std::span<const std::string_view> neutral_config_keys() {
  static constexpr std::string_view keys[] = {
      // what the model is and who wrote the file
      "architectures",
      "model_type",
      "transformers_version",
      "transformers.js_config*",
      "torch_dtype",
      "dtype",
      "auto_map",
      "_name_or_path",
      "_commit_hash",
      "name_or_path",
      "unsloth_*",
      "quantization_config_origin",
      // read by the tokenizer or the engine
      "bos_token_id",
      "eos_token_id",
      "pad_token_id",
      "unk_token_id",
      "sep_token_id",
      "cls_token_id",
      "mask_token_id",
      "decoder_start_token_id",
      "tie_word_embeddings",
      "model_max_length",
      "tokenizer_class",
      // training
      "initializer_range",
      "initializer_cutoff_factor",
      "*dropout*",
      "*_pdrop",
      "gradient_checkpointing",
      "use_bfloat16",
      // generation defaults of old files, and switches of the reference's Python classes
      "use_cache",
      "do_sample",
      "temperature",
      "top_k",
      "top_p",
      "max_length",
      "min_length",
      "repetition_penalty",
      "length_penalty",
      "num_beams",
      "num_return_sequences",
      "output_attentions",
      "output_hidden_states",
      "return_dict",
      "torchscript",
      "id2label*",
      "label2id*",
      "problem_type",
      "task_specific_params*",
      "chunk_size_feed_forward",
      "_attn_implementation*",
      "attn_implementation",
      "is_decoder",
      "use_return_dict",
      "_flash_attn_2_enabled",
      // what other folders of the checkpoint say follows the model (core/checkpoint adds it); encoders read it
      "modules.*",
  };
  return keys;
}

/// Objects of config.json that hold a text model's own config, bookkeeping included.
inline std::span<const std::string_view> text_config_prefixes() {
  static constexpr std::string_view prefixes[] = {"text_config.", "llm_config.", "language_config."};
  return prefixes;
}

}  // namespace tenon
