#include <cstdint>
#include <vector>

#include "support/check_case.hpp"

using namespace ropejit;

TEST_CASE("Every direction takes its angles from every source at every kind of position", "[numeric]") {
  constexpr AngleSource kAngles[] = {AngleSource::computed, AngleSource::half,    AngleSource::full,
                                     AngleSource::repeated, AngleSource::complex, AngleSource::cos_sin,
                                     AngleSource::radians};
  constexpr PositionSource kSources[] = {PositionSource::start,     PositionSource::ids32,     PositionSource::ids64,
                                         PositionSource::offsets32, PositionSource::offsets64, PositionSource::ragged};
  constexpr DType kTypes[] = {DType::fp32, DType::bf16, DType::fp16};
  int number = 0;
  for (const test::TargetPtr& target : test::targets()) {
    for (const AngleSource angles : kAngles) {
      for (const Direction direction : {Direction::forward, Direction::adjoint, Direction::inverse, Direction::shift}) {
        for (const PositionSource source : kSources) {
          const bool shift = direction == Direction::shift;
          test::NumericCase given;
          given.spec.layout = number % 4 < 2 ? Layout::split_half : Layout::interleaved;
          given.spec.direction = direction;
          given.spec.dtype = kTypes[number % 2];
          given.spec.rotary_dim = 16;
          given.spec.q = {5, 24, 8};
          given.spec.k = Operand{2, 24, 0};
          given.spec.scaling = YarnScaling{8, 4096};  // a scale that is not 1
          given.form.placement = number % 3 == 0 ? Placement::in_place : Placement::out_of_place;
          given.form.positions = source;
          given.form.angles = angles;
          if (angles != AngleSource::computed && angles != AngleSource::radians) {
            given.form.table_dtype = kTypes[number % 3];
          }
          given.batch = 2;
          given.tokens = 4;
          given.table_per_batch = number % 2 == 0;
          // Some positions are one beyond the table of 64 rows.
          switch (source) {
            case PositionSource::start: given.positions = {shift ? -2 : 61}; break;
            case PositionSource::offsets32:
            case PositionSource::offsets64: given.positions = {shift ? -63 : 0, 61}; break;
            case PositionSource::ragged:
              given.batch = 1;
              given.cu_seqlens = {0, 1, 4};
              given.positions = {7, shift ? -1 : 62};
              break;
            default: given.positions = {0, -1, 63, shift ? -63 : 62, 5, shift ? -64 : 64, 2, 1}; break;
          }
          test::check_case_quickly(target, given, 26, number % 5 == 0);
          ++number;
        }
      }
    }
  }
}
