// Where the generic kernel writes a token of an operand: the place in pages that a table names, lanes that lie in
// groups, and the tensor beside a cache.
#pragma once

#include "generic_turns.cuh"

namespace ropejit {

// What the operand's page table has of a token: as find_request and find_place of share.cuh.
__device__ __forceinline__ TablePage generic_page(const StoreParams& params, const GenericOperand& shape, u32 o,
                                                  u32 number, u32 sequence, i64 position) {
  const PageTableLine& table = params.table[o];
  const OperandLines& lines = params.lines[o];
  TokenInRequest token{-1, -1};
  visit_number<2>(shape.requests, [&](auto requests) {
    visit_number<3>(shape.places, [&](auto places) {
      token = token_in_request<static_cast<TokenRequests>(decltype(requests)::number),
                               static_cast<TokenPlaces>(decltype(places)::number)>(table, number < lines.slot_count,
                                                                                   number, sequence, position);
    });
  });
  if (shape.rows == static_cast<u32>(CacheRows::page_lists)) return look_up_page<true>(table, lines.block_size, token);
  return look_up_page<false>(table, lines.block_size, token);
}

// Steps in bytes from lane to lane, which lie in groups of `split_lanes` that are `group` apart; 0: they do not.
struct GenericLanes {
  i64 step;
  u32 split_lanes;
  i64 group;
  i64 element;

  __device__ __forceinline__ i64 to(u32 lane) const {
    return split_lanes == 0 ? lane * step : lane / split_lanes * group + lane % split_lanes * element;
  }
};

// Where a token is written beside its cache, and by which steps in bytes.
struct GenericBeside {
  char* out;  // null: it is not
  i64 head;
  i64 lane;
};

__device__ __forceinline__ GenericBeside beside_of_token(const StoreParams& params, const GenericPlan& plan, u32 o,
                                                         const OperandParams& operand, const Token& token) {
  const GenericOperand& shape = plan.operand[o];
  if (shape.beside == static_cast<u32>(Beside::none)) return {nullptr, 0, 0};
  const TensorStrides& strides = operand.strides;
  BesideStore store = params.beside;
  for (u32 before = 0; before < o; ++before) {
    if (plan.operand[before].beside == static_cast<u32>(Beside::apart)) store = params.second_beside;
  }
  if (shape.beside == static_cast<u32>(Beside::in_place)) {
    store = {const_cast<void*>(operand.in), strides.in_sequence, strides.in_token, strides.in_head, strides.in_lane};
  }
  const i64 bytes = bytes_of(static_cast<Element>(shape.element_out));
  return {static_cast<char*>(store.out) + (token.number * store.token + token.sequence * store.sequence) * bytes,
          store.head * bytes, store.lane * bytes};
}

}  // namespace ropejit
