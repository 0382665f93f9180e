// Programs change how their threads round, and have small numbers taken for zero: torch.set_flush_denormal, games,
// audio. What the library reads, works out and prints has the same bits there, and the thread is left as it was.
#include <cfenv>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ropejit/model.hpp"
#include "ropejit/ropejit.h"
#include "ropejit/service.hpp"
#include "spec/lower.hpp"
#include "support/callers_arithmetic.hpp"
#include "support/catch.hpp"
#include "support/test_files.hpp"
#include "verify/oracle.hpp"

using namespace ropejit;
using namespace ropejit::test;

namespace {

constexpr std::int64_t kTokens = 5;

template <typename Number>
std::string bits_of(const Number* numbers, std::size_t count) {
  return {reinterpret_cast<const char*>(numbers), count * sizeof(Number)};
}

std::string spec_text(const std::string& more, const std::string& dtype = "fp32") {
  return R"({"schema":1,"dtype":")" + dtype + R"(","q":{"heads":2,"head_dim":16})" + more + "}";
}

std::vector<std::string> specs() {
  std::vector<std::string> texts = {
      spec_text(R"(,"rope_theta":500000.1,"rope_scaling":{"rope_type":"llama3","factor":8.1,"low_freq_factor":1.1,
        "high_freq_factor":4.3,"original_max_position_embeddings":8192})"),
      spec_text(R"(,"rope_scaling":{"rope_type":"linear","factor":3.3})"),
      spec_text(R"(,"rope_scaling":{"rope_type":"ntk","alpha":1234.7})"),
      spec_text(R"(,"max_length":5001,"rope_scaling":{"rope_type":"dynamic","factor":2.7,
        "max_position_embeddings":2048})"),
      spec_text(R"(,"rope_theta":150000.3,"rope_scaling":{"rope_type":"yarn","factor":32.1,"beta_fast":31.9,
        "original_max_position_embeddings":4096})"),
      spec_text(R"(,"rope_scaling":{"rope_type":"deepseek_yarn","factor":40.1,"mscale":1.1,"mscale_all_dim":0.7,
        "original_max_position_embeddings":4096})"),
      spec_text(R"(,"max_length":9000,"rope_scaling":{"rope_type":"longrope","factor":32.3,
        "original_max_position_embeddings":4096,"short_factor":[1.1,1.2,1.3,1.4,1.5,1.6,1.7,1.8],
        "long_factor":[1.05,2.3,4.7,8.1,16.3,20.9,30.7,40.1]})"),
      spec_text(R"(,"rope_scaling":{"rope_type":"proportional","partial_rotary_factor":0.5,"factor":1.7})"),
      // Some are below what a double or a float has normally.
      spec_text(R"(,"rope_scaling":{"rope_type":"inv_freq","attention_factor":0.7310585786300049,
        "inv_freq":[0.1,0.03,1e-5,2.2250738585072014e-309,4.9e-324,1e-40,1.1754943508222875e-38,0.3333333333333333]})"),
      spec_text(R"(,"angle":"fp32","rope_theta":10007.3)"),
      spec_text(R"(,"angle":"fp32_inv_freq","rounding":"p3","rope_theta":10007.3)"),
      spec_text(R"(,"direction":"inverse","rope_scaling":{"rope_type":"yarn","factor":3.7,
        "original_max_position_embeddings":4096})"),
  };
  for (const char* const rounding : {"exact", "p1", "p2", "p3"}) {
    for (const char* const dtype : {"bf16", "fp16"}) {
      texts.push_back(spec_text(fmt::format(R"(,"rounding":"{}","angle":"fp32")", rounding), dtype));
    }
  }
  return texts;
}

// Of numbers small and large, some below the normal range of the dtype.
std::vector<std::uint32_t> tensor_of(const RopeSpec& spec) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(kTokens * spec.q.heads * spec.q.head_dim));
  std::uint32_t next = 12345;
  for (std::size_t i = 0; i < words.size(); ++i) {
    next = next * 1664525 + 1013904223;
    // Exponents from 0 on: of every fourth word (or half of one) only the mantissa is left.
    words[i] = (next & 0x807FFFFFU) | (i % 4 == 0 ? 0 : ((next >> 8) & 0x3FU) + 0x40U) << 23;
    if (spec.dtype != DType::fp32) words[i] = (next & 0xBFFFBFFFU) & (i % 4 == 0 ? 0x83FF83FFU : 0xFFFFFFFFU);
  }
  return words;
}

std::string launched(const RopeKernel& kernel, std::int64_t first) {
  std::vector<std::uint32_t> q = tensor_of(kernel.spec());
  RopeArgs args;
  args.q.data = q.data();
  args.tokens = kTokens;
  args.positions = Positions::start(first);
  const LaunchStatus status = kernel.launch(args);
  return status ? bits_of(q.data(), q.size()) : status.message();
}

ServiceOptions generic_options() {
  ServiceOptions options;
  options.device = "host";
  options.cache_dir = "";
  options.on_miss = OnMiss::generic;
  return options;
}

// All that comes out for one spec, in words and bits.
std::vector<std::string> outcome(const std::string& text) {
  const RopeSpec spec = RopeSpec::from_json(text);
  const LaunchForm form = LaunchForm::in_place_start();
  const internal::RotationPlan plan = internal::lower(spec, form);
  const double scales[] = {plan.attention_scale, spec.softmax_scale()};
  const internal::Oracle oracle(spec);
  const internal::Angles angles = oracle.angles(1'000'003);
  const RopeService service(generic_options());
  const RopeKernel kernel = service.get(spec, form);
  return {spec.to_json(),
          spec.to_string(),
          RopeSpec::from_json(spec.to_json()) == spec ? "equal" : "unequal",
          plan.hash(),
          bits_of(plan.steps.data(), plan.steps.size()),
          bits_of(plan.inv_freq.data(), plan.inv_freq.size()),
          bits_of(scales, std::size(scales)),
          bits_of(angles.cos.data(), angles.cos.size()),
          bits_of(angles.sin.data(), angles.sin.size()),
          kernel.info().plan_hash,
          launched(kernel, 7),
          launched(kernel, 1'000'003)};
}

// `work` gives what it gives to a thread that nobody touched, and leaves the thread as it is.
void check_everywhere(const std::function<std::vector<std::string>()>& work) {
  const std::vector<std::string> expected = work();
  for (const int rounding : CallersArithmetic::kRoundings) {
    for (const bool flush : {false, true}) {
      std::vector<std::string> got;
      bool as_set = false;
      std::string words;
      {
        const CallersArithmetic arithmetic(rounding, flush);
        got = work();
        as_set = arithmetic.is_as_set();
        words = arithmetic.to_string();
      }
      INFO(words);
      CHECK(as_set);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        CHECK((got[i] == expected[i]));
      }
    }
  }
}

std::string thrown_by(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("what these tests set is what the processor does") {
  const auto third = [](double denominator) {
    volatile double one = 1;
    volatile double by = denominator;
    return one / by;
  };
  const double nearest = third(3);
  {
    const CallersArithmetic arithmetic(FE_UPWARD, true);
    CHECK(arithmetic.is_as_set());
    CHECK(third(3) > nearest);
    CHECK(third(-3) == -nearest);
  }
  CHECK(third(3) == nearest);
  volatile float small = 1e-40F;
  CHECK(small != 0.0F);
}

TEST_CASE("plans, numbers, text and rotated bits are the same however the thread rounds and flushes") {
  const std::string text = GENERATE(from_range(specs()));
  INFO(text);
  check_everywhere([&] { return outcome(text); });
}

TEST_CASE("a config means the same model however the thread rounds and flushes") {
  for (const char* const model : {"llama-3.1-8b", "deepseek-v3.2", "phi-2", "mistral-small-3.1-24b", "qwen2.5-vl-7b"}) {
    INFO(model);
    const std::string text = read_test_file(std::string("data/models/") + model + ".json");
    check_everywhere([&] {
      std::vector<std::string> all;
      const ModelRopes ropes = ModelRopes::from_hf_config(text);
      for (const RopeSpec& spec : ropes.specs()) all.push_back(spec.to_json());
      return all;
    });
  }
}

TEST_CASE("kernels that are compiled, and threads of a block that wait for each other, give the same bits") {
  // The layout changes in place: a block's threads meet at a barrier, each on a stack of its own.
  const RopeSpec spec = RopeSpec::from_json(spec_text(R"(,"layout":"interleaved","layout_out":"split_half")"));
  ServiceOptions options = generic_options();
  options.on_miss = OnMiss::compile;
  const RopeService service(options);
  check_everywhere([&] { return std::vector{launched(service.get(spec, LaunchForm::in_place_start()), 1'000'003)}; });
}

TEST_CASE("a thread of the library computes as the thread that asked for it does") {
  const auto work = [](double theta) {
    ServiceOptions options = generic_options();
    options.on_miss = OnMiss::background;
    const RopeService service(options);
    RopeSpec spec = RopeSpec::from_json(spec_text(R"(,"rope_scaling":{"rope_type":"yarn","factor":32.1,
      "original_max_position_embeddings":4096})"));
    spec.theta = theta;
    const RopeKernel kernel = service.get(spec, LaunchForm::in_place_start());
    const std::string generic = launched(kernel, 1'000'003);
    REQUIRE(service.wait_for_compiles(200));
    REQUIRE(kernel.info().variants.front().cache != CacheRung::generic);
    return std::vector{generic, launched(kernel, 1'000'003)};
  };
  const std::vector<std::string> expected = work(10'000.3);
  const CallersArithmetic upward(FE_UPWARD, true);
  const std::vector<std::string> got = work(10'000.3);
  CHECK(upward.is_as_set());
  CHECK((got == expected));
  CHECK((got[0] == got[1]));
}

TEST_CASE("a kernel is resolved for a length to the same numbers however the thread rounds and flushes") {
  const RopeSpec spec = RopeSpec::from_json(
      spec_text(R"(,"rope_scaling":{"rope_type":"dynamic","factor":2.7,"max_position_embeddings":2048})"));
  const RopeService service(generic_options());
  const RopeKernel kernel = service.get(spec, LaunchForm::in_place_start());
  check_everywhere([&] {
    return std::vector{launched(kernel.at_length(5001), 4'000), launched(kernel, 100), kernel.info().plan_hash};
  });
}

TEST_CASE("what is wrong is said in the same words, and the thread is left as it was") {
  const RopeService service(generic_options());
  const RopeKernel kernel = service.get(RopeSpec::from_json(spec_text("")), LaunchForm::in_place_start());
  ropejit_service* c_service = nullptr;
  REQUIRE(ropejit_service_create(R"({"device":"host","cache_dir":"","on_miss":"generic"})", &c_service) == ROPEJIT_OK);
  check_everywhere([&] {
    ropejit_kernel* got = nullptr;
    const std::string small = spec_text(R"(,"rope_scaling":{"rope_type":"linear","factor":4.9e-324})");
    CHECK(ropejit_get(c_service, small.c_str(), nullptr, &got) != ROPEJIT_OK);
    return std::vector<std::string>{
        ropejit_last_error(),
        thrown_by([] { RopeSpec::from_json(spec_text(R"(,"rope_theta":-2.2250738585072014e-309)")); }),
        thrown_by(
            [] { RopeSpec::from_json(spec_text(R"(,"rope_scaling":{"rope_type":"linear","factor":0})")).to_json(); }),
        thrown_by([] { RopeSpec::from_json("{"); }),
        thrown_by([&] { service.get(RopeSpec::from_json(small), LaunchForm::in_place_start()); }),
        thrown_by([] { ModelRopes::from_hf_config("{}"); }),
        thrown_by([&] { static_cast<void>(kernel.at_length(0)); }),
    };
  });
  ropejit_service_release(c_service);
}

#if defined(__x86_64__)
TEST_CASE("a thread that is stopped by any inexact result is not stopped by the library, and would be again after it") {
  const std::string text = specs().front();
  const std::vector<std::string> expected = outcome(text);
  std::fenv_t before;
  REQUIRE(std::fegetenv(&before) == 0);
  ::feenableexcept(FE_ALL_EXCEPT);
  const std::vector<std::string> got = outcome(text);
  const int stopping = ::fegetexcept();
  std::fesetenv(&before);
  CHECK((got == expected));
  CHECK(stopping == FE_ALL_EXCEPT);
}
#endif

TEST_CASE("metrics read the same however the thread rounds") {
  ServiceStats stats;
  stats.compile_ms = 1234.5678915;
  stats.load_ms = 0.0005;
  stats.wait_ms = 2.5e-4;
  check_everywhere([&] { return std::vector{prometheus_text(stats)}; });
}
