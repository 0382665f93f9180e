// Manifests of models that are compiled in a moment, and a compiler that takes none.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "deploy/warm.hpp"
#include "deploy/warm_list.hpp"
#include "deploy/warm_manifest.hpp"
#include "ropejit/error.hpp"
#include "support/catch.hpp"

namespace ropejit::test {

/// Two rotations of four lanes, in place from a start.
inline const std::string kSmallManifest = R"({"schema":1,"models":[
  {"name":"small","ropes":[{"rotary_dim":4,"q":{"heads":2,"head_dim":4}},
                           {"rotary_dim":4,"q":{"heads":2,"head_dim":4},"rope_theta":500}]}],
  "dtypes":["fp32"],"forms":[{"positions":"start"}]})";

inline std::vector<std::string> problems_of(const std::string& manifest) {
  internal::Problems problems;
  internal::read_warm_manifest(manifest, internal::shipped_models(), problems);
  return problems.lines();
}

/// Of a manifest that is right.
inline internal::WarmPlans plans_of(std::string_view manifest) {
  internal::Problems problems;
  internal::WarmPlans plans =
      internal::expand(internal::read_warm_manifest(manifest, internal::shipped_models(), problems), problems);
  for (const std::string& line : problems.lines()) FAIL_CHECK(line);
  return plans;
}

inline internal::WarmList list_of(std::string_view manifest, std::vector<internal::WarmTarget> targets) {
  internal::Events events({}, {});
  const internal::BinaryStore nowhere("");
  return internal::list_warm_items(plans_of(manifest).plans, std::move(targets),
                                   internal::RecordShelf(nowhere, events));
}

/// Its binaries say what they are of. `before` is called with the number of the compile, from 1 on, and may throw.
class FakeTarget : public internal::BuildTarget, private internal::Compiler {
 public:
  explicit FakeTarget(std::function<void(int)> before = {}) : before_(std::move(before)) {}

  const std::string& arch() const override { return arch_; }
  const std::string& recipe() const override { return recipe_; }
  const internal::Compiler& compiler() const override { return *this; }
  int compiles() const { return compiles_; }

 private:
  internal::CompiledBinary compile(const internal::KernelSource& source) const override {
    const int number = ++compiles_;
    if (before_) before_(number);
    internal::CompiledBinary binary;
    binary.image = "binary of " + source.text;
    binary.compiler = "none";
    binary.compile_ms = number;
    return binary;
  }

  const std::string arch_ = "sm_90";
  const std::string recipe_ = "none";
  const std::function<void(int)> before_;
  mutable std::atomic<int> compiles_{0};
};

inline internal::WarmTarget fake_warm_target(std::shared_ptr<const FakeTarget> target) {
  return {std::move(target), {{"sm_90", 132, 0, 0, 0}}};
}

}  // namespace ropejit::test
