#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "ropejit/ropejit.h"
#include "ropejit/service.hpp"
#include "ropejit/version.hpp"
#include "support/catch.hpp"

extern "C" ropejit_status ropejit_test_session_in_c(const char* spec_json, float* q, int64_t tokens);

namespace {

const char* const kSpec = R"({"schema":1,"dtype":"fp32","q":{"heads":2,"head_dim":4}})";
const char* const kHost = R"({"device":"host","cache_dir":""})";

struct Service {
  Service() { REQUIRE(ropejit_service_create(kHost, &handle) == ROPEJIT_OK); }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() { ropejit_service_release(handle); }
  ropejit_service* handle = nullptr;
};

struct Kernel {
  Kernel(const Service& service, const char* form) {
    INFO(ropejit_last_error());
    REQUIRE(ropejit_get(service.handle, kSpec, form, &handle) == ROPEJIT_OK);
  }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel() { ropejit_kernel_release(handle); }
  ropejit_kernel* handle = nullptr;
};

bool error_names(const char* text) { return std::strstr(ropejit_last_error(), text) != nullptr; }

}  // namespace

TEST_CASE("a session in C rotates as the formula says") {
  std::vector<float> q(2 * 2 * 4, 1.0F);
  REQUIRE(ropejit_test_session_in_c(kSpec, q.data(), 2) == ROPEJIT_OK);
  for (std::size_t i = 0; i < 8; ++i) CHECK(q[i] == 1.0F);  // position 0
  for (const std::size_t head : {8, 12}) {
    for (std::size_t pair = 0; pair < 2; ++pair) {
      const double t = pair == 0 ? 1.0 : 0.01;
      CHECK(std::fabs(q[head + pair] - (std::cos(t) - std::sin(t))) < 1e-6);
      CHECK(std::fabs(q[head + pair + 2] - (std::cos(t) + std::sin(t))) < 1e-6);
    }
  }
}

TEST_CASE("the C version is the headers' version") { CHECK(std::string(ropejit_version()) == ROPEJIT_VERSION); }

TEST_CASE("a null pointer is a code and a line, never a crash") {
  const Service service;
  const Kernel kernel(service, nullptr);
  const ropejit_args args = ropejit_args_default();
  ropejit_kernel* got = kernel.handle;

  CHECK(ropejit_service_create(kHost, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("service"));
  CHECK(ropejit_get(nullptr, kSpec, nullptr, &got) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("service"));
  CHECK(got == nullptr);
  CHECK(ropejit_get(service.handle, nullptr, nullptr, &got) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("spec_json"));
  CHECK(ropejit_get(service.handle, kSpec, nullptr, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("kernel"));
  CHECK(ropejit_launch(nullptr, &args, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("kernel"));
  CHECK(ropejit_launch(kernel.handle, nullptr, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("args"));
  ropejit_service_release(nullptr);
  ropejit_kernel_release(nullptr);
}

TEST_CASE("bad options, specs and forms are codes, and lines that name the field") {
  struct Row {
    const char* options;
    const char* spec;
    const char* form;
    ropejit_status status;
    const char* named;
  };
  const Row row = GENERATE(values<Row>({
      {R"({"speed":"high"})", kSpec, nullptr, ROPEJIT_PARSE_ERROR, "speed"},
      {R"({"device":7})", kSpec, nullptr, ROPEJIT_PARSE_ERROR, "device"},
      {R"({"device":"toaster"})", kSpec, nullptr, ROPEJIT_INVALID_ARGUMENT, "toaster"},
      {"", kSpec, nullptr, ROPEJIT_PARSE_ERROR, "no text"},
      {kHost, "{", nullptr, ROPEJIT_PARSE_ERROR, ""},
      {kHost, R"({"schema":1,"q":{"heads":1,"head_dim":3}})", nullptr, ROPEJIT_INVALID_ARGUMENT, "head_dim"},
      {kHost, kSpec, "[]", ROPEJIT_PARSE_ERROR, ""},
      {kHost, kSpec, R"({"placement":"nowhere"})", ROPEJIT_INVALID_ARGUMENT, "nowhere"},
      {kHost, kSpec, R"({"place":"in_place"})", ROPEJIT_PARSE_ERROR, "place"},
      {kHost, kSpec, R"({"padding":"left"})", ROPEJIT_INVALID_ARGUMENT, "padding"},
      {kHost, R"({"schema":1,"q":{"heads":1,"head_dim":8},"axes":{"sections":[2,3]}})", nullptr,
       ROPEJIT_INVALID_ARGUMENT, "axes.sections"},
  }));
  ropejit_service* service = nullptr;
  ropejit_kernel* kernel = nullptr;
  ropejit_status status = ropejit_service_create(row.options, &service);
  CHECK((service != nullptr) == (status == ROPEJIT_OK));
  if (status == ROPEJIT_OK) status = ropejit_get(service, row.spec, row.form, &kernel);
  INFO("options " << row.options << "\nspec " << row.spec << "\nerror: " << ropejit_last_error());
  CHECK(status == row.status);
  CHECK(kernel == nullptr);
  CHECK(error_names(row.named));
  CHECK(std::strlen(ropejit_last_error()) > 0);
  CHECK(std::strchr(ropejit_last_error(), '\n') == nullptr);
  ropejit_service_release(service);
}

TEST_CASE("without a compiler the generic kernel serves; where nothing but a kernel's own may, that is not_cached") {
  ropejit_service* service = nullptr;
  ropejit_kernel* kernel = nullptr;
  REQUIRE(ropejit_service_create(R"({"device":"host","cache_dir":"","host_compiler":"/nonexistent/c++"})", &service) ==
          ROPEJIT_OK);
  CHECK(ropejit_get(service, kSpec, nullptr, &kernel) == ROPEJIT_OK);
  CHECK(kernel != nullptr);
  ropejit_kernel_release(kernel);
  ropejit_service_release(service);

  REQUIRE(ropejit_service_create(R"({"device":"host","cache_dir":"","on_miss":"error"})", &service) == ROPEJIT_OK);
  CHECK(ropejit_get(service, kSpec, nullptr, &kernel) == ROPEJIT_NOT_CACHED);
  CHECK(error_names("is in no cache, and compiling is not allowed"));
  CHECK(kernel == nullptr);
  ropejit_service_release(service);
}

TEST_CASE("metrics are written as far as there is room, and their whole length is told") {
  const Service service;
  const Kernel kernel(service, nullptr);
  size_t length = 0;
  REQUIRE(ropejit_metrics(service.handle, "device=\"0\"", nullptr, 0, &length) == ROPEJIT_OK);
  REQUIRE(length > 100);
  std::string text(length + 1, 'x');
  REQUIRE(ropejit_metrics(service.handle, "device=\"0\"", text.data(), text.size(), nullptr) == ROPEJIT_OK);
  CHECK(text.back() == '\0');
  CHECK(text.find("ropejit_gets_total{device=\"0\"} 1\n") != std::string::npos);
  char few[8] = "xxxxxxx";
  CHECK(ropejit_metrics(service.handle, nullptr, few, sizeof few, &length) == ROPEJIT_OK);
  CHECK(std::strlen(few) == 7);
  CHECK(length > 100);
  CHECK(ropejit_metrics(nullptr, nullptr, few, sizeof few, &length) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(length == 0);
  CHECK(few[0] == '\0');
  CHECK(ropejit_metrics(service.handle, nullptr, nullptr, 5, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("text"));
}

TEST_CASE("C waits for compiles in the background, for any number of seconds that is one") {
  ropejit_service* service = nullptr;
  REQUIRE(ropejit_service_create(R"({"device":"host","cache_dir":"","on_miss":"background"})", &service) == ROPEJIT_OK);
  ropejit_kernel* kernel = nullptr;
  REQUIRE(ropejit_get(service, kSpec, nullptr, &kernel) == ROPEJIT_OK);
  int finished = -1;
  for (const double seconds : {std::numeric_limits<double>::infinity(), 1e300, 0.0}) {
    CHECK(ropejit_wait_for_compiles(service, seconds, &finished) == ROPEJIT_OK);
    CHECK(finished == 1);
  }
  for (const double seconds : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(ropejit_wait_for_compiles(service, seconds, &finished) == ROPEJIT_INVALID_ARGUMENT);
    CHECK(error_names("seconds"));
    CHECK(finished == 0);
  }
  CHECK(ropejit_wait_for_compiles(service, 1, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(ropejit_wait_for_compiles(nullptr, 1, &finished) == ROPEJIT_INVALID_ARGUMENT);
  ropejit_kernel_release(kernel);
  ropejit_service_release(service);
}

TEST_CASE("a launch refuses arguments that it cannot mean") {
  const Service service;
  const Kernel kernel(service, R"({"positions":"start"})");
  alignas(16) float q[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  struct Row {
    const char* named;
    void (*spoil)(ropejit_args&);
  };
  const Row row = GENERATE(values<Row>({
      {"args.size", [](ropejit_args& args) { args.size = 0; }},
      {"args.size", [](ropejit_args& args) { args.size = sizeof args - 1; }},
      {"args.size", [](ropejit_args& args) { args.size = SIZE_MAX; }},
      {"args.reserved", [](ropejit_args& args) { args.reserved = 1; }},
      {"position_source", [](ropejit_args& args) { args.position_source = ROPEJIT_POSITIONS_RAGGED + 1; }},
      {"position_source", [](ropejit_args& args) { args.position_source = -1; }},
      {"position", [](ropejit_args& args) { args.position_source = ROPEJIT_POSITIONS_IDS64; }},
      {"q", [](ropejit_args& args) { args.q.data = nullptr; }},
      {"tokens", [](ropejit_args& args) { args.tokens = -1; }},
      {"overlap", [](ropejit_args& args) { args.q.head_stride = 0; }},
  }));
  INFO("wanted: " << row.named);
  ropejit_args args = ropejit_args_default();
  args.q = ropejit_contiguous(q);
  args.position_source = ROPEJIT_POSITIONS_START;
  args.first_position = 1;
  args.tokens = 1;
  row.spoil(args);
  const ropejit_status status = ropejit_launch(kernel.handle, &args, nullptr);
  INFO("error: " << ropejit_last_error());
  CHECK(status != ROPEJIT_OK);
  CHECK(error_names(row.named));
  for (const float value : q) CHECK(value == 1.0F);
}

TEST_CASE("a kernel that depends on the length is resolved for one, in a handle of its own") {
  // The base times 7^2 at four times the trained length, so that pair 1 turns by 1/700 a position.
  const char* const spec = R"({"schema":1,"dtype":"fp32","q":{"heads":1,"head_dim":4},
    "rope_scaling":{"rope_type":"dynamic","factor":2,"max_position_embeddings":2048}})";
  const Service service;
  ropejit_kernel* unresolved = nullptr;
  ropejit_kernel* resolved = nullptr;
  REQUIRE(ropejit_get(service.handle, spec, nullptr, &unresolved) == ROPEJIT_OK);
  alignas(16) float q[4] = {1, 1, 1, 1};
  const std::int64_t position = 100;
  ropejit_args args = ropejit_args_default();
  args.q = ropejit_contiguous(q);
  args.position_ids = &position;
  args.tokens = 1;
  CHECK(ropejit_launch(unresolved, &args, nullptr) == ROPEJIT_NOT_PREPARED);
  CHECK(q[1] == 1.0F);

  CHECK(ropejit_kernel_at_length(unresolved, 8192, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("at_length"));
  resolved = unresolved;
  CHECK(ropejit_kernel_at_length(nullptr, 8192, &resolved) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("kernel"));
  CHECK(resolved == nullptr);
  CHECK(ropejit_kernel_at_length(unresolved, 0, &resolved) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("length"));
  CHECK(resolved == nullptr);

  REQUIRE(ropejit_kernel_at_length(unresolved, 8192, &resolved) == ROPEJIT_OK);
  CHECK(resolved != unresolved);
  ropejit_kernel_release(unresolved);
  CHECK(ropejit_launch(resolved, &args, nullptr) == ROPEJIT_OK);
  CHECK(std::fabs(q[1] - (std::cos(100.0 / 700) - std::sin(100.0 / 700))) < 1e-6);
  ropejit_kernel_release(resolved);
}

TEST_CASE("a kernel without a length comes back from at_length as it is") {
  const Service service;
  const Kernel kernel(service, R"({"positions":"start"})");
  ropejit_kernel* same = nullptr;
  REQUIRE(ropejit_kernel_at_length(kernel.handle, 4096, &same) == ROPEJIT_OK);
  alignas(16) float q[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  ropejit_args args = ropejit_args_default();
  args.q = ropejit_contiguous(q);
  args.position_source = ROPEJIT_POSITIONS_START;
  args.first_position = 1;
  args.tokens = 1;
  CHECK(ropejit_launch(same, &args, nullptr) == ROPEJIT_OK);
  CHECK(std::fabs(q[0] - (std::cos(1.0) - std::sin(1.0))) < 1e-6);
  ropejit_kernel_release(same);
}

TEST_CASE("the last error belongs to a thread and outlives success") {
  const Service service;
  ropejit_kernel* kernel = nullptr;
  CHECK(ropejit_get(service.handle, "{", nullptr, &kernel) == ROPEJIT_PARSE_ERROR);
  const std::string mine = ropejit_last_error();
  CHECK(!mine.empty());
  std::string of_other = "unset";
  std::thread([&] {
    of_other = ropejit_last_error();
    static_cast<void>(ropejit_service_create(kHost, nullptr));
  }).join();
  CHECK(of_other.empty());
  CHECK(ropejit_get(service.handle, kSpec, nullptr, &kernel) == ROPEJIT_OK);
  CHECK(ropejit_last_error() == mine);
  ropejit_kernel_release(kernel);
}

TEST_CASE("q, k and v of one list: k and v go to the rows of a cache that two lists name, v as it is, strided") {
  const char* const spec =
      R"({"schema":1,"dtype":"fp32","q":{"heads":2,"head_dim":4},"k":{"heads":1,"head_dim":4},"v":{"heads":1,"head_dim":6}})";
  const char* const form = R"({"positions":"start","strides":"free","k_rows":"rows32","v_rows":"rows64"})";
  const Service service;
  ropejit_kernel* kernel = nullptr;
  const ropejit_status made = ropejit_get(service.handle, spec, form, &kernel);
  INFO(ropejit_last_error());
  REQUIRE(made == ROPEJIT_OK);

  constexpr std::size_t kTokens = 3;
  constexpr std::size_t kRows = 5;
  constexpr std::size_t kVStride = 8;  // of a token's 6 lanes
  std::vector<float> q(kTokens * 2 * 4, 1.0F);
  std::vector<float> k(kTokens * 4, 1.0F);
  std::vector<float> v(kTokens * kVStride);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i);
  std::vector<float> k_cache(kRows * 4, -7.0F);
  std::vector<float> v_cache(kRows * 6, -7.0F);
  const std::int32_t k_rows[kTokens] = {4, -1, 0};
  const std::int64_t v_rows[kTokens] = {2, 3, -1};

  ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_V, v.data(), v_cache.data()),
                                ropejit_operand_of(ROPEJIT_K, k.data(), k_cache.data()),
                                ropejit_operand_of(ROPEJIT_Q, q.data(), nullptr)};
  operands[0].in.token_stride = kVStride;
  operands[0].rows = v_rows;
  operands[0].cache_rows = kRows;
  operands[1].rows = k_rows;
  operands[1].cache_rows = kRows;
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 3;
  args.position_source = ROPEJIT_POSITIONS_START;
  args.tokens = kTokens;
  const ropejit_status launched = ropejit_launch(kernel, &args, nullptr);
  INFO(ropejit_last_error());
  REQUIRE(launched == ROPEJIT_OK);
  ropejit_kernel_release(kernel);

  for (std::size_t row = 0; row < kRows; ++row) {
    CAPTURE(row);
    const std::size_t token = row == 2 ? 0 : 1;
    for (std::size_t lane = 0; lane < 6; ++lane) {
      const bool is_written = row == 2 || row == 3;
      CHECK(v_cache[row * 6 + lane] == (is_written ? v[token * kVStride + lane] : -7.0F));
    }
    const double position = row == 4 ? 0.0 : 2.0;
    for (std::size_t pair = 0; pair < 2; ++pair) {
      const double t = position * (pair == 0 ? 1.0 : 0.01);
      const bool is_written = row == 4 || row == 0;
      CHECK(std::fabs(k_cache[row * 4 + pair] - (is_written ? std::cos(t) - std::sin(t) : -7.0)) < 1e-6);
    }
  }
  CHECK(std::fabs(q[2 * 2 * 4] - (std::cos(2.0) - std::sin(2.0))) < 1e-6);
}

namespace {

// A Qwen3 of two heads and one, in floats, with k and v in pages of three tokens.
const char* const kPrologue = R"({"schema":1,"dtype":"fp32","q":{"heads":2,"head_dim":8,"norm":{"eps":1e-6}},)"
                              R"("k":{"heads":1,"head_dim":8,"norm":{"eps":1e-5}},"v":{"heads":1,"head_dim":8}})";

std::vector<float> numbers(std::size_t count, float first) {
  std::vector<float> made(count);
  for (std::size_t i = 0; i < count; ++i) made[i] = first + static_cast<float>(i * 7 % 13) / 4;
  return made;
}

// What a launch of kPrologue reads and writes.
struct PrologueTensors {
  static constexpr std::size_t kTokens = 4;
  std::vector<float> q = numbers(kTokens * 16, -1);
  std::vector<float> k = numbers(kTokens * 8, 2);
  std::vector<float> v = numbers(kTokens * 8, -3);
  std::vector<float> q_weight = numbers(8, 0.5F);
  std::vector<float> k_weight = numbers(8, -0.5F);

  /// q and k with their norms, in place.
  ropejit::RopeArgs norms() {
    ropejit::RopeArgs args;
    args.q.data = q.data();
    args.k.data = k.data();
    args.q_norm_weight = q_weight.data();
    args.k_norm_weight = k_weight.data();
    args.positions = ropejit::Positions::start(5);
    args.tokens = kTokens;
    return args;
  }
};

ropejit::RopeKernel kernel_in_cpp(const char* form) {
  ropejit::ServiceOptions options;
  options.device = "host";
  options.cache_dir = "";
  return ropejit::RopeService(options).get(ropejit::RopeSpec::from_json(kPrologue),
                                           ropejit::LaunchForm::from_json(form));
}

}  // namespace

TEST_CASE("norms through C give the bits that they give through C++") {
  const char* const form = R"({"positions":"start"})";
  PrologueTensors expected;
  const ropejit::RopeArgs wanted = expected.norms();
  REQUIRE(kernel_in_cpp(form).launch(wanted, nullptr));

  const Service service;
  ropejit_kernel* kernel = nullptr;
  const ropejit_status made = ropejit_get(service.handle, kPrologue, form, &kernel);
  INFO(ropejit_last_error());
  REQUIRE(made == ROPEJIT_OK);
  PrologueTensors tensors;
  ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_Q, tensors.q.data(), nullptr),
                                ropejit_operand_of(ROPEJIT_K, tensors.k.data(), nullptr)};
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 2;
  args.position_source = ROPEJIT_POSITIONS_START;
  args.first_position = 5;
  args.tokens = PrologueTensors::kTokens;
  // A program that knows of no norms has no weights for them.
  CHECK(ropejit_launch(kernel, &args, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(error_names("q_norm_weight: found null"));
  CHECK(tensors.q == PrologueTensors().q);

  operands[0].norm_weight = tensors.q_weight.data();
  operands[1].norm_weight = tensors.k_weight.data();
  const ropejit_status launched = ropejit_launch(kernel, &args, nullptr);
  ropejit_kernel_release(kernel);
  INFO(ropejit_last_error());
  REQUIRE(launched == ROPEJIT_OK);
  CHECK(tensors.q == expected.q);
  CHECK(tensors.k == expected.k);
  CHECK(tensors.q != PrologueTensors().q);
}

TEST_CASE("a whole prologue through C gives the bits that it gives through C++: k and v in pages, by slots") {
  const char* const form = R"({"positions":"start","k_rows":"slots32","v_rows":"slots32"})";
  constexpr std::int64_t kPages = 2;
  constexpr std::int64_t kBlock = 3;
  constexpr std::size_t kCache = kPages * 2 * kBlock * 8;  // of each page k's tokens, then v's
  // Every second number is a slot, of the first three tokens; 40 is beyond the cache.
  const std::int32_t slots[] = {4, 0, -1, 0, 2, 0, 40};
  struct Row {
    std::int64_t count;  // as C says it
    std::int64_t count_in_cpp;
  };
  const Row row = GENERATE(values<Row>({{0, ropejit::kEveryToken}, {3, 3}, {ROPEJIT_NO_SLOTS, 0}}));
  CAPTURE(row.count);

  PrologueTensors expected;
  std::vector<float> wanted_cache(kCache, -7.0F);
  std::uint32_t wanted_flags = 0;
  ropejit::RopeArgs wanted = expected.norms();
  wanted.v.data = expected.v.data();
  wanted.k_out.data = wanted_cache.data();
  wanted.k_out.batch_stride = 2 * kBlock * 8;
  wanted.v_out = wanted.k_out;
  wanted.v_out.data = wanted_cache.data() + kBlock * 8;
  wanted.k_rows = slots;
  wanted.v_rows = slots;
  wanted.k_cache_rows = wanted.v_cache_rows = kPages * kBlock;
  wanted.k_block_size = wanted.v_block_size = kBlock;
  wanted.k_slot_count = wanted.v_slot_count = row.count_in_cpp;
  wanted.k_slot_stride = wanted.v_slot_stride = 2;
  wanted.flags = &wanted_flags;
  REQUIRE(kernel_in_cpp(form).launch(wanted, nullptr));

  const Service service;
  ropejit_kernel* kernel = nullptr;
  REQUIRE(ropejit_get(service.handle, kPrologue, form, &kernel) == ROPEJIT_OK);
  PrologueTensors tensors;
  std::vector<float> cache(kCache, -7.0F);
  std::uint32_t flags = 0;
  ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_Q, tensors.q.data(), nullptr),
                                ropejit_operand_of(ROPEJIT_K, tensors.k.data(), cache.data()),
                                ropejit_operand_of(ROPEJIT_V, tensors.v.data(), cache.data() + kBlock * 8)};
  operands[0].norm_weight = tensors.q_weight.data();
  operands[1].norm_weight = tensors.k_weight.data();
  for (const std::size_t i : {1, 2}) {
    operands[i].out.batch_stride = 2 * kBlock * 8;
    operands[i].rows = slots;
    operands[i].cache_rows = kPages * kBlock;
    operands[i].block_size = kBlock;
    operands[i].slot_count = row.count;
    operands[i].slot_stride = 2;
  }
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 3;
  args.position_source = ROPEJIT_POSITIONS_START;
  args.first_position = 5;
  args.tokens = PrologueTensors::kTokens;
  args.flags = &flags;
  const ropejit_status launched = ropejit_launch(kernel, &args, nullptr);
  ropejit_kernel_release(kernel);
  INFO(ropejit_last_error());
  REQUIRE(launched == ROPEJIT_OK);
  CHECK(tensors.q == expected.q);
  CHECK(tensors.q != PrologueTensors().q);
  CHECK(cache == wanted_cache);
  CHECK(flags == wanted_flags);
  CHECK(flags == (row.count == 0 ? static_cast<std::uint32_t>(ROPEJIT_FLAG_NO_CACHE_ROW) : 0U));
  // Slots 4 and 2, of tokens 0 and 2: v as it was.
  for (std::size_t lane = 0; lane < 8; ++lane) {
    const bool is_written = row.count != ROPEJIT_NO_SLOTS;
    CHECK(cache[(3 + 2) * 8 + lane] == (is_written ? tensors.v[2 * 8 + lane] : -7.0F));
    CHECK(cache[(6 + 3 + 1) * 8 + lane] == (is_written ? tensors.v[lane] : -7.0F));
  }
}

TEST_CASE("k and v go where page tables say through C, with the bits that they have without a cache") {
  const bool is_table = GENERATE(false, true);
  CAPTURE(is_table);
  PrologueTensors expected;
  REQUIRE(kernel_in_cpp(R"({"positions":"start"})").launch(expected.norms(), nullptr));

  constexpr std::size_t kPages = 4;
  constexpr std::size_t kBlock = 3;
  // k's lanes in groups of four, [pages, 2, places, 4]; or as v's, [pages, places, 8].
  const char* const form =
      is_table ? R"({"positions":"start","k_rows":"block_table","v_rows":"block_table","k_split":true,)"
                 R"("token_requests":"ids32","token_places":"ids64"})"
               : R"({"positions":"start","placement":"out_of_place","k_rows":"page_lists","v_rows":"page_lists",)"
                 R"("v_beside":true,"token_requests":"ids32","token_places":"ids64"})";
  const Service service;
  ropejit_kernel* kernel = nullptr;
  const ropejit_status got = ropejit_get(service.handle, kPrologue, form, &kernel);
  INFO(ropejit_last_error());
  REQUIRE(got == ROPEJIT_OK);
  const std::int32_t requests[] = {1, 0, 1, 2};  // the last does not exist
  const std::int64_t places[] = {0, 4, 3, 0};
  const std::int32_t lists[] = {3, 1, 0, 2};
  const std::int32_t first[] = {0, 2, 4};
  const std::int32_t last[] = {2, 1};
  const std::int32_t rows[] = {3, 1, -1, 0, 2, -1};
  const std::size_t slots[] = {0, 4, 6};  // of the first three tokens, by either
  PrologueTensors tensors;
  std::vector<float> q_out(tensors.q.size(), -7.0F);
  std::vector<float> k_cache(kPages * kBlock * 8, -7.0F);
  std::vector<float> v_cache = k_cache;
  std::vector<float> v_beside(tensors.v.size(), -7.0F);
  std::uint32_t flags = 0;
  ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_Q, tensors.q.data(), is_table ? nullptr : q_out.data()),
                                ropejit_operand_of(ROPEJIT_K, tensors.k.data(), k_cache.data()),
                                ropejit_operand_of(ROPEJIT_V, tensors.v.data(), v_cache.data())};
  operands[0].norm_weight = tensors.q_weight.data();
  operands[1].norm_weight = tensors.k_weight.data();
  if (!is_table) operands[2].beside.data = v_beside.data();
  for (const std::size_t i : {1, 2}) {
    operands[i].cache_rows = kPages * kBlock;
    operands[i].block_size = kBlock;
    if (is_table) {
      operands[i].page_table = {rows, nullptr, nullptr, 2, 2, 3};
    } else {
      operands[i].page_table = {lists, first, last, 2, 4, 0};
    }
  }
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 3;
  args.position_source = ROPEJIT_POSITIONS_START;
  args.first_position = 5;
  args.tokens = PrologueTensors::kTokens;
  args.flags = &flags;
  args.token_requests = requests;
  args.token_places = places;
  const ropejit_status launched = ropejit_launch(kernel, &args, nullptr);
  ropejit_kernel_release(kernel);
  INFO(ropejit_last_error());
  REQUIRE(launched == ROPEJIT_OK);
  CHECK((is_table ? tensors.q : q_out) == expected.q);
  CHECK(flags == static_cast<std::uint32_t>(ROPEJIT_FLAG_NO_CACHE_ROW));
  if (!is_table) CHECK(v_beside == tensors.v);
  std::vector<float> wanted_k(k_cache.size(), -7.0F);
  std::vector<float> wanted_v(v_cache.size(), -7.0F);
  for (std::size_t token = 0; token < 3; ++token) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
      const std::size_t split = slots[token] / kBlock * kBlock * 8 + lane / 4 * kBlock * 4 + slots[token] % kBlock * 4;
      const std::size_t at = is_table ? split + lane % 4 : slots[token] * 8 + lane;
      wanted_k[at] = expected.k[token * 8 + lane];
      wanted_v[slots[token] * 8 + lane] = tensors.v[token * 8 + lane];
    }
  }
  CHECK(k_cache == wanted_k);
  CHECK(v_cache == wanted_v);
}

TEST_CASE("k beside its cache through C has the bits that it has without a cache, of every token") {
  const bool in_place = GENERATE(false, true);
  CAPTURE(in_place);
  // Without a cache, and without v.
  PrologueTensors expected;
  const ropejit::RopeArgs wanted = expected.norms();
  REQUIRE(kernel_in_cpp(R"({"positions":"start"})").launch(wanted, nullptr));

  const std::int32_t slots[] = {1, -1, 0, 7};
  const Service service;
  ropejit_kernel* kernel = nullptr;
  const char* const form = in_place ? R"({"positions":"start","k_rows":"slots32","k_beside":true})"
                                    : R"({"positions":"start","placement":"out_of_place","k_rows":"slots32",)"
                                      R"("k_beside":true})";
  REQUIRE(ropejit_get(service.handle, kPrologue, form, &kernel) == ROPEJIT_OK);
  PrologueTensors tensors;
  std::vector<float> cache(2 * 8, -7.0F);
  std::vector<float> q_out(tensors.q.size());
  std::vector<float> beside(tensors.k.size());
  ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_Q, tensors.q.data(), in_place ? nullptr : q_out.data()),
                                ropejit_operand_of(ROPEJIT_K, tensors.k.data(), cache.data())};
  operands[0].norm_weight = tensors.q_weight.data();
  operands[1].norm_weight = tensors.k_weight.data();
  operands[1].rows = slots;
  operands[1].cache_rows = 2;
  operands[1].block_size = 1;
  if (!in_place) operands[1].beside.data = beside.data();  // without gaps, as strides of 0 say
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 2;
  args.position_source = ROPEJIT_POSITIONS_START;
  args.first_position = 5;
  args.tokens = PrologueTensors::kTokens;
  const ropejit_status launched = ropejit_launch(kernel, &args, nullptr);
  ropejit_kernel_release(kernel);
  INFO(ropejit_last_error());
  REQUIRE(launched == ROPEJIT_OK);
  CHECK((in_place ? tensors.q : q_out) == expected.q);
  CHECK((in_place ? tensors.k : beside) == expected.k);
  for (std::size_t lane = 0; lane < 8; ++lane) {
    CHECK(cache[lane] == expected.k[2 * 8 + lane]);
    CHECK(cache[8 + lane] == expected.k[lane]);
  }
}

TEST_CASE(
    "Statistics that a launch through C handed out give its bits where they are given, in one spec or the other") {
  const std::string spec = kPrologue;
  const std::string given_spec = R"({"schema":1,"dtype":"fp32","q":{"heads":2,"head_dim":8,"norm":{"eps":1e-6,)"
                                 R"("statistic":"given"}},"k":{"heads":1,"head_dim":8,"norm":{"statistic":"given"}}})";
  const Service service;
  constexpr std::size_t kTokens = PrologueTensors::kTokens;
  // Of q without gaps, of k with one number between tokens.
  std::vector<float> q_r(kTokens * 2, -7.0F);
  std::vector<float> k_r(kTokens * 2, -7.0F);
  const auto launched = [&](const std::string& of, const char* form, bool is_given, PrologueTensors& tensors) {
    ropejit_kernel* kernel = nullptr;
    REQUIRE(ropejit_get(service.handle, of.c_str(), form, &kernel) == ROPEJIT_OK);
    ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_Q, tensors.q.data(), nullptr),
                                  ropejit_operand_of(ROPEJIT_K, tensors.k.data(), nullptr)};
    operands[0].norm_weight = tensors.q_weight.data();
    operands[1].norm_weight = tensors.k_weight.data();
    (is_given ? operands[0].norm_statistic : operands[0].norm_statistic_out).data = q_r.data();
    (is_given ? operands[1].norm_statistic : operands[1].norm_statistic_out) = ropejit_statistic{k_r.data(), 2, 0};
    ropejit_args args = ropejit_args_default();
    args.operands = operands;
    args.operand_count = 2;
    args.position_source = ROPEJIT_POSITIONS_START;
    args.tokens = kTokens;
    const ropejit_status status = ropejit_launch(kernel, &args, nullptr);
    ropejit_kernel_release(kernel);
    INFO(ropejit_last_error());
    REQUIRE(status == ROPEJIT_OK);
  };
  PrologueTensors computed;
  launched(spec, R"({"positions":"start","norm_statistics":true})", false, computed);
  for (std::size_t token = 0; token < kTokens; ++token) {
    CHECK(q_r[2 * token] > 0);
    CHECK(q_r[2 * token + 1] > 0);
    CHECK(k_r[2 * token] > 0);
    CHECK(k_r[2 * token + 1] == -7.0F);
  }
  PrologueTensors given;
  launched(given_spec, R"({"positions":"start"})", true, given);
  CHECK(given.q == computed.q);
  CHECK(given.k == computed.k);
}

TEST_CASE("Biases and scales of heads of each operand reach its own stages through C, and are refused where none are") {
  const Service service;
  const char* const spec =
      R"({"schema":1,"dtype":"fp32","q":{"heads":2,"head_dim":4,"rotates":false,"bias":true,"head_scales":true},)"
      R"("k":{"heads":1,"head_dim":4,"rotates":false,"norm":{"bias":true,"plus_one":true}}})";
  ropejit_kernel* kernel = nullptr;
  REQUIRE(ropejit_get(service.handle, spec, R"({"positions":"start"})", &kernel) == ROPEJIT_OK);
  std::vector<float> q{1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> k{2, -2, 2, -2};  // a mean square of 4
  const std::vector<float> bias{0.5F, 0, -1, 0, 0, 2, 0, 0};
  const std::vector<float> scales{2, -3};
  const std::vector<float> weight{1, 3, -1, 0};
  const std::vector<float> norm_bias{10, 20, 30, 40};
  ropejit_operand operands[] = {ropejit_operand_of(ROPEJIT_K, k.data(), nullptr),
                                ropejit_operand_of(ROPEJIT_Q, q.data(), nullptr)};
  operands[0].norm_weight = weight.data();
  operands[0].norm_bias = norm_bias.data();
  operands[1].bias = bias.data();
  operands[1].head_scales = scales.data();
  ropejit_args args = ropejit_args_default();
  args.operands = operands;
  args.operand_count = 2;
  args.position_source = ROPEJIT_POSITIONS_START;
  args.tokens = 1;
  for (const char* const missing : {"q_bias", "q_head_scales", "k_norm_bias"}) {
    const ropejit_operand good[] = {operands[0], operands[1]};
    if (std::string(missing) == "q_bias") operands[1].bias = nullptr;
    if (std::string(missing) == "q_head_scales") operands[1].head_scales = nullptr;
    if (std::string(missing) == "k_norm_bias") operands[0].norm_bias = nullptr;
    CHECK(ropejit_launch(kernel, &args, nullptr) == ROPEJIT_INVALID_ARGUMENT);
    CHECK(std::string(ropejit_last_error()).find(std::string(missing) + ":") != std::string::npos);
    operands[0] = good[0];
    operands[1] = good[1];
  }
  operands[0].bias = bias.data();
  CHECK(ropejit_launch(kernel, &args, nullptr) == ROPEJIT_INVALID_ARGUMENT);
  CHECK(std::string(ropejit_last_error()).find("k_bias:") != std::string::npos);
  operands[0].bias = nullptr;
  const ropejit_status launched = ropejit_launch(kernel, &args, nullptr);
  ropejit_kernel_release(kernel);
  INFO(ropejit_last_error());
  REQUIRE(launched == ROPEJIT_OK);
  CHECK(q == std::vector<float>{3, 4, 4, 8, -15, -24, -21, -24});
  const float normed[] = {2 + 10, -4 + 20, 0 + 30, -1 + 40};
  for (std::size_t lane = 0; lane < 4; ++lane) CHECK(std::fabs(k[lane] - normed[lane]) < 1e-4F);
}
