// The words of enumerations (names.hpp), as the public headers promise them.
#include "spec/names.hpp"

namespace ropejit {
inline namespace v0 {

const char* to_string(DType value) noexcept { return internal::name_of(value); }
const char* to_string(Layout value) noexcept { return internal::name_of(value); }
const char* to_string(Rounding value) noexcept { return internal::name_of(value); }
const char* to_string(AngleRounding value) noexcept { return internal::name_of(value); }
const char* to_string(Engine value) noexcept { return internal::name_of(value); }
const char* to_string(Sine value) noexcept { return internal::name_of(value); }
const char* to_string(Statistic value) noexcept { return internal::name_of(value); }
const char* to_string(NormKind value) noexcept { return internal::name_of(value); }
const char* to_string(NormSpan value) noexcept { return internal::name_of(value); }
const char* to_string(NormWeight value) noexcept { return internal::name_of(value); }
const char* to_string(StageName value) noexcept { return internal::name_of(value); }
const char* to_string(AxisOrder value) noexcept { return internal::name_of(value); }
const char* to_string(AxisFrequencies value) noexcept { return internal::name_of(value); }
const char* to_string(Direction value) noexcept { return internal::name_of(value); }
const char* to_string(Placement value) noexcept { return internal::name_of(value); }
const char* to_string(Strides value) noexcept { return internal::name_of(value); }
const char* to_string(PositionSource value) noexcept { return internal::name_of(value); }
const char* to_string(AngleSource value) noexcept { return internal::name_of(value); }
const char* to_string(Padding value) noexcept { return internal::name_of(value); }
const char* to_string(ContextParallel value) noexcept { return internal::name_of(value); }
const char* to_string(CacheRows value) noexcept { return internal::name_of(value); }
const char* to_string(TokenRequests value) noexcept { return internal::name_of(value); }
const char* to_string(TokenPlaces value) noexcept { return internal::name_of(value); }
const char* to_string(Tuning value) noexcept { return internal::name_of(value); }
const char* to_string(OnMiss value) noexcept { return internal::name_of(value); }

}  // namespace v0
}  // namespace ropejit
