// Programs and libraries of different versions: those that were compiled with the first header, with the last one
// before operands grew, and with one that is yet to come, against this library.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "service/c_args.hpp"
#include "support/catch.hpp"

extern "C" {
#include "service/abi/caller.h"

extern const abi_caller abi_first_caller;
extern const abi_caller abi_second_caller;
extern const abi_caller abi_present_caller;
extern const abi_caller abi_next_caller;
extern const abi_caller abi_next_number_caller;
extern const abi_caller abi_next_operand_caller;
extern const abi_caller abi_next_pointer_caller;
extern const abi_caller abi_next_last_caller;
}

using namespace ropejit::internal;

namespace {

constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kTokens = 3;
constexpr std::int64_t kHeads = 2;  // of q; k has one
constexpr std::int64_t kDim = 4;
const char* const kSpec = R"({"schema":1,"dtype":"fp32","q":{"heads":2,"head_dim":4},"k":{"heads":1,"head_dim":4}})";

using Tensor = std::vector<float>;

Tensor tensor(std::int64_t heads) {
  Tensor made(static_cast<std::size_t>(kBatch * kTokens * heads * kDim));
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i % 11) - 4;
  return made;
}

// The formula of the header spec.hpp: theta 10,000, the halves of a head paired.
void check_rotated(const Tensor& out, std::int64_t heads, const std::vector<std::int64_t>& positions) {
  const Tensor in = tensor(heads);
  for (std::int64_t row = 0; row < kBatch * kTokens * heads; ++row) {
    const auto position = static_cast<double>(positions[static_cast<std::size_t>(row / heads)]);
    for (std::int64_t pair = 0; pair < kDim / 2; ++pair) {
      const double t = position * std::pow(10000.0, -2.0 * static_cast<double>(pair) / kDim);
      const auto a = static_cast<std::size_t>(row * kDim + pair);
      const auto b = a + kDim / 2;
      CHECK(std::fabs(out[a] - (in[a] * std::cos(t) - in[b] * std::sin(t))) < 1e-5);
      CHECK(std::fabs(out[b] - (in[b] * std::cos(t) + in[a] * std::sin(t))) < 1e-5);
    }
  }
}

struct Row {
  const char* form;
  bool with_k;
  bool out_of_place;
  bool wide_ids;
  std::vector<std::int64_t> ids;  // none: from `first` on
  std::int64_t id_stride;
  std::vector<std::int64_t> positions;  // of each token
};

}  // namespace

TEST_CASE("programs of the versions before, of this one and of a later one get the rotation that they ask for") {
  const abi_caller& caller = *GENERATE(&abi_first_caller, &abi_second_caller, &abi_present_caller, &abi_next_caller);
  const Row row = GENERATE(values<Row>({
      {R"({"positions":"start"})", false, false, false, {}, -1, {7, 8, 9, 7, 8, 9}},
      {R"({"positions":"start","placement":"out_of_place"})", true, true, false, {}, -1, {7, 8, 9, 7, 8, 9}},
      {nullptr, true, false, true, {4, 2, 9, 0, 1, 3}, -1, {4, 2, 9, 0, 1, 3}},
      {R"({"positions":"ids32","placement":"out_of_place","strides":"free"})",
       false,
       true,
       false,
       {5, 6, 1},
       0,
       {5, 6, 1, 5, 6, 1}},
      {R"({"positions":"ids64"})", true, false, true, {5, 6, 1}, 0, {5, 6, 1, 5, 6, 1}},
  }));
  INFO(caller.name << ", form " << (row.form == nullptr ? "NULL" : row.form));
  Tensor q = tensor(kHeads);
  Tensor k = tensor(1);
  Tensor q_out(q.size());
  Tensor k_out(k.size());
  const std::vector<std::int32_t> narrow(row.ids.begin(), row.ids.end());
  abi_launch launch = {};
  launch.spec = kSpec;
  launch.form = row.form;
  launch.q = q.data();
  if (row.with_k) launch.k = k.data();
  if (row.out_of_place) launch.q_out = q_out.data();
  if (row.out_of_place && row.with_k) launch.k_out = k_out.data();
  if (!row.ids.empty()) launch.ids = row.wide_ids ? static_cast<const void*>(row.ids.data()) : narrow.data();
  launch.wide_ids = row.wide_ids ? 1 : 0;
  launch.id_stride = row.id_stride;
  launch.first = 7;
  launch.batch = kBatch;
  launch.tokens = kTokens;
  const int status = caller.launch(&launch);
  INFO(caller.last_error());
  REQUIRE(status == 0);
  check_rotated(row.out_of_place ? q_out : q, kHeads, row.positions);
  if (row.with_k) check_rotated(row.out_of_place ? k_out : k, 1, row.positions);
}

TEST_CASE("a program of a later version that asks for what this one does not have is refused, and nothing is written") {
  const abi_caller& caller =
      *GENERATE(&abi_next_number_caller, &abi_next_pointer_caller, &abi_next_last_caller, &abi_next_operand_caller);
  INFO(caller.name);
  Tensor q = tensor(kHeads);
  abi_launch launch = {};
  launch.spec = kSpec;
  launch.form = R"({"positions":"start"})";
  launch.q = q.data();
  launch.first = 7;
  launch.batch = kBatch;
  launch.tokens = kTokens;
  CHECK(caller.launch(&launch) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(std::string(caller.last_error()).find("that this version of ropejit does not know") != std::string::npos);
  CHECK(q == tensor(kHeads));
}

TEST_CASE("constants have the values that they had in the first version") {
  for (const abi_caller* later : {&abi_second_caller, &abi_present_caller, &abi_next_caller}) {
    REQUIRE(later->constant_count == abi_first_caller.constant_count);
    for (std::size_t i = 0; i < later->constant_count; ++i) {
      CAPTURE(i);
      CHECK(later->constants[i] == abi_first_caller.constants[i]);
    }
  }
  CHECK(abi_first_caller.args_size == 224);
  CHECK(abi_second_caller.args_size == 352);
  CHECK(abi_second_caller.operand_size == 112);
  CHECK(abi_present_caller.args_size == sizeof(ropejit_args));
  CHECK(abi_present_caller.operand_size == sizeof(ropejit_operand));
  CHECK(abi_next_caller.args_size > sizeof(ropejit_args));
  CHECK(abi_next_caller.operand_size > sizeof(ropejit_operand));
}

constexpr GrowingStruct grown(std::size_t first, std::size_t known) {
  return {first, known, "no version", "too large", "an unknown member"};
}

TEST_CASE("a program of this version works with each library before it, where its size ends behind what it sets") {
  const ropejit_args args = ropejit_args_default();
  const std::size_t first = abi_first_caller.args_size;
  for (const std::size_t known :
       {first, offsetof(ropejit_args, cu_seqlens), offsetof(ropejit_args, position_axis_stride), sizeof args}) {
    CAPTURE(known);
    for (std::size_t size = first; size <= known; size += sizeof(std::int64_t)) {
      CHECK(why_unreadable(&args, size, grown(first, known)) == nullptr);
    }
  }
  // With all of its members where those exist, and members since then are 0.
  CHECK(why_unreadable(&args, sizeof args, grown(first, offsetof(ropejit_args, ranks))) == nullptr);
}

TEST_CASE("an operand of this version is read by the library before it while it has neither weights nor slots") {
  const std::size_t before = abi_second_caller.operand_size;
  const ropejit_operand plain = ropejit_operand_of(ROPEJIT_K, nullptr, nullptr);
  CHECK(why_unreadable(&plain, sizeof plain, grown(before, before)) == nullptr);
  const auto refused = [&](const ropejit_operand& operand) {
    const char* const why = why_unreadable(&operand, sizeof operand, grown(before, before));
    return why != nullptr && std::string(why) == "an unknown member";
  };
  ropejit_operand normed = plain;
  normed.norm_weight = &plain;
  CHECK(refused(normed));
  for (std::int64_t ropejit_operand::*member :
       {&ropejit_operand::block_size, &ropejit_operand::slot_count, &ropejit_operand::slot_stride}) {
    ropejit_operand with_slots = plain;
    with_slots.*member = ROPEJIT_NO_SLOTS;
    CHECK(refused(with_slots));
  }
  for (ropejit_statistic ropejit_operand::*member :
       {&ropejit_operand::norm_statistic, &ropejit_operand::norm_statistic_out}) {
    float r = 1;
    ropejit_operand with_statistic = plain;
    (with_statistic.*member).data = &r;
    CHECK(refused(with_statistic));
  }
  for (const void* ropejit_operand::*member : {&ropejit_operand::norm_bias, &ropejit_operand::bias}) {
    ropejit_operand with_bias = plain;
    with_bias.*member = &plain;
    CHECK(refused(with_bias));
  }
  const float scale = 1;
  ropejit_operand scaled = plain;
  scaled.head_scales = &scale;
  CHECK(refused(scaled));
}

TEST_CASE("a struct is read as far as its size says, and beyond what is known it must be zero") {
  constexpr GrowingStruct kStruct = grown(16, 32);
  for (std::size_t size = 0; size <= 96; ++size) {
    CAPTURE(size);
    std::vector<unsigned char> bytes(size, 0);
    const bool a_version = size >= 16 && size % 8 == 0;
    REQUIRE(why_unreadable(bytes.data(), size, kStruct) == (a_version ? nullptr : kStruct.no_version));
    if (!a_version) continue;
    for (std::size_t set = 0; set < size; ++set) {
      bytes[set] = 1;
      CHECK(why_unreadable(bytes.data(), size, kStruct) == (set < 32 ? nullptr : kStruct.unknown_member));
      bytes[set] = 0;
    }
  }
  CHECK(why_unreadable(nullptr, 65536 + 8, kStruct) == kStruct.too_large);
}
