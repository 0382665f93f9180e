#include <cstdint>
#include <optional>
#include <vector>

#include "ropejit/error.hpp"
#include "spec/lower.hpp"
#include "support/catch.hpp"
#include "support/targets.hpp"
#include "verify/oracle.hpp"

namespace {

using namespace ropejit;

/// Rows of one token, [heads, head_dim], at chosen offsets of a large buffer.
class SparseRows {
 public:
  SparseRows(const internal::Target& target, const RopeSpec& spec, std::int64_t elements)
      : target_(target), spec_(spec), buffer_(target.allocate(static_cast<std::size_t>(elements * 2))) {}

  void write(std::int64_t offset) {
    std::vector<unsigned char> row(static_cast<std::size_t>(row_elements() * 2));
    for (std::int64_t i = 0; i < row_elements(); ++i) {
      internal::store_bits(spec_.dtype, row.data(), i,
                           internal::encode(spec_.dtype, static_cast<double>((i * 37 + offset) % 101) / 50.0 - 1.0));
    }
    target_.upload(at(offset), row.data(), row.size());
    offsets_.push_back(offset);
    rows_.push_back(std::move(row));
  }

  /// Every written row against the oracle; row i stands at positions[i].
  internal::Comparison check(const std::vector<std::int64_t>& positions) const {
    const internal::Oracle oracle(spec_);
    internal::Comparison comparison;
    for (std::size_t i = 0; i < offsets_.size(); ++i) {
      std::vector<unsigned char> after(rows_[i].size());
      target_.download(after.data(), at(offsets_[i]), after.size());
      for (std::int64_t h = 0; h < spec_.q.heads; ++h) {
        const std::int64_t byte = h * spec_.q.head_dim * 2;
        oracle.check(oracle.angles(positions[i]), spec_.q, {rows_[i].data() + byte, 1}, {after.data() + byte, 1},
                     {0, positions[i], h, 0}, comparison);
      }
    }
    return comparison;
  }

  void* data() const { return buffer_.data(); }

 private:
  std::int64_t row_elements() const { return spec_.q.heads * spec_.q.head_dim; }
  char* at(std::int64_t offset) const { return static_cast<char*>(buffer_.data()) + offset * 2; }

  const internal::Target& target_;
  const RopeSpec& spec_;
  internal::DeviceBuffer buffer_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::vector<unsigned char>> rows_;
};

/// Rotates in place from position `first` on, and checks the rows that were written, which stand at `positions`.
void launch_and_check(const test::TargetPtr& target, const RopeSpec& spec, const LaunchForm& form, const TensorView& q,
                      std::int64_t tokens, std::int64_t first, const SparseRows& rows,
                      const std::vector<std::int64_t>& positions) {
  const internal::PreparedKernel kernel = test::prepare(target, internal::lower(spec, form));
  RopeArgs args;
  args.q = q;
  args.tokens = tokens;
  args.positions = Positions::start(first);
  REQUIRE(internal::launch_prepared(kernel, args, nullptr));
  target->synchronize();
  const internal::Comparison comparison = rows.check(positions);
  INFO(target->name() << " " << comparison.to_string());
  CHECK(comparison.passed());
  CHECK(comparison.count() == static_cast<std::int64_t>(positions.size()) * spec.q.heads * spec.q.head_dim);
}

RopeSpec spec_of(std::int64_t heads, std::int64_t head_dim) {
  RopeSpec spec;
  spec.rotary_dim = head_dim;
  spec.q = {heads, head_dim, 0};
  return spec;
}

}  // namespace

TEST_CASE("Tokens more than 2^31 elements apart are rotated where they lie", "[numeric]") {
  const RopeSpec spec = spec_of(3, 64);
  const LaunchForm form = LaunchForm::in_place_start().with_free_strides();
  for (const test::TargetPtr& target : test::targets()) {
    // A stride of an odd number of elements is served by the universal entry, the other by vector accesses.
    for (const std::int64_t stride : {(1LL << 31) + 64, (1LL << 31) + 65}) {
      INFO(target->name() << " stride " << stride);
      std::optional<SparseRows> rows;
      try {
        rows.emplace(*target, spec, 2 * stride + 3 * 64);
      } catch (const Error& error) {
        WARN("not enough memory here: " << error.what());
        continue;
      }
      for (std::int64_t s = 0; s < 3; ++s) rows->write(s * stride);
      TensorView q;
      q.data = rows->data();
      q.token_stride = stride;
      launch_and_check(target, spec, form, q, 3, 100, *rows, {100, 101, 102});
    }
  }
}

TEST_CASE("A contiguous tensor of more than 2^32 elements is rotated to its end", "[numeric][cuda]") {
  const RopeSpec spec = spec_of(128, 512);
  const std::int64_t row = spec.q.heads * spec.q.head_dim;
  const std::int64_t tokens = (1LL << 32) / row + 1000;
  for (const test::TargetPtr& target : test::targets()) {
    if (target->name() == "host") continue;  // minutes there
    SparseRows rows(*target, spec, tokens * row);
    const std::vector<std::int64_t> written = {
        0,          1,         (1LL << 31) / row - 1, (1LL << 31) / row, (1LL << 32) / row - 1, (1LL << 32) / row,
        tokens - 2, tokens - 1};
    for (const std::int64_t s : written) rows.write(s * row);
    TensorView q;
    q.data = rows.data();
    launch_and_check(target, spec, LaunchForm::in_place_start(), q, tokens, 0, rows, written);
  }
}

TEST_CASE("A launch of more threads than 32 bits number is cut into slabs", "[numeric][cuda]") {
  // The universal entry over many one-pair rows: 2^27 tokens of 20 items.
  RopeSpec spec = spec_of(80, 2);
  const std::int64_t tokens = 1LL << 27;
  const std::int64_t row = spec.q.heads * spec.q.head_dim;
  for (const test::TargetPtr& target : test::targets()) {
    if (target->name() == "host") continue;
    SparseRows rows(*target, spec, tokens * row + 1);
    // Off by one element: every access of the form's fast kernels would be unaligned.
    const std::vector<std::int64_t> written = {0, 1, tokens / 2, tokens - 1};
    for (const std::int64_t s : written) rows.write(s * row + 1);
    TensorView q;
    q.data = static_cast<char*>(rows.data()) + 2;
    launch_and_check(target, spec, LaunchForm::in_place_start(), q, tokens, 0, rows, written);
  }
}
