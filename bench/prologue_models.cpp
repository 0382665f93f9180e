#include "bench/prologue_models.hpp"

#include <algorithm>

namespace ropejit::bench {
namespace {

void norm_both(RopeSpec& spec, const Norm& norm) { spec.q.norm = spec.k->norm = norm; }

void norm_turned(RopeSpec& spec, const Norm& norm) {
  norm_both(spec, norm);
  spec.q.order = spec.k->order = {StageName::rotate, StageName::norm};
}

Norm norm_of(NormKind kind, NormSpan span, NormWeight weight) {
  Norm norm;
  norm.kind = kind;
  norm.span = span;
  norm.weight = weight;
  return norm;
}

Norm plus_one() {
  Norm norm;
  norm.plus_one = true;
  return norm;
}

}  // namespace

const std::vector<PrologueModel>& prologue_models() {
  constexpr auto kSplit = Arrangement::split_half;
  constexpr auto kInterleaved = Arrangement::interleaved;
  static const std::vector<PrologueModel> models = {
      {"qwen_3_8b", {32, 8, 128, 128}, kSplit, [](RopeSpec& spec) { norm_both(spec, {}); }},
      {"gemma_3_12b", {16, 8, 256, 256}, kSplit, [](RopeSpec& spec) { norm_both(spec, plus_one()); }},
      {"gemma_4_full",
       {16, 4, 512, 512},
       kSplit,
       [](RopeSpec& spec) {
         norm_both(spec, {});
         spec.v->norm = norm_of(NormKind::rms, NormSpan::head, NormWeight::none);
       }},
      {"qwen_3_next", {16, 2, 256, 64}, kSplit, [](RopeSpec& spec) { norm_both(spec, plus_one()); }},
      {"olmo_2_7b",
       {32, 32, 128, 128},
       kSplit,
       [](RopeSpec& spec) { norm_both(spec, norm_of(NormKind::rms, NormSpan::token, NormWeight::heads)); }},
      {"minimax_m2",
       {48, 8, 128, 64},
       kSplit,
       [](RopeSpec& spec) { norm_both(spec, norm_of(NormKind::rms, NormSpan::token, NormWeight::heads)); }},
      {"command_r_plus",
       {96, 8, 128, 128},
       kInterleaved,
       [](RopeSpec& spec) { norm_both(spec, norm_of(NormKind::layer, NormSpan::head, NormWeight::heads)); }},
      {"stablelm_2_12b",
       {32, 8, 160, 40},
       kSplit,
       [](RopeSpec& spec) { norm_both(spec, norm_of(NormKind::layer, NormSpan::head, NormWeight::heads)); }},
      {"chameleon_7b",
       {32, 32, 128, 128},
       kSplit,
       [](RopeSpec& spec) {
         Norm norm = norm_of(NormKind::layer, NormSpan::head, NormWeight::heads);
         norm.bias = true;
         norm_both(spec, norm);
       }},
      {"llama_4_scout",
       {40, 8, 128, 128},
       kInterleaved,
       [](RopeSpec& spec) { norm_turned(spec, norm_of(NormKind::rms, NormSpan::head, NormWeight::none)); }},
      {"hunyuan_7b", {32, 8, 128, 128}, kSplit, [](RopeSpec& spec) { norm_turned(spec, {}); }},
      {"ministral_3_8b",
       {32, 8, 128, 128},
       kSplit,
       [](RopeSpec& spec) {
         spec.q.temperature = Temperature{0.1, 16384, true, 0};
       }},
      {"falcon_h1_7b", {12, 2, 128, 128}, kSplit, [](RopeSpec& spec) { spec.k->scale = 0.3; }},
  };
  return models;
}

const PrologueModel* find_prologue_model(std::string_view name) {
  const std::vector<PrologueModel>& all = prologue_models();
  const auto at = std::find_if(all.begin(), all.end(), [name](const PrologueModel& one) { return one.name == name; });
  return at == all.end() ? nullptr : &*at;
}

}  // namespace ropejit::bench
