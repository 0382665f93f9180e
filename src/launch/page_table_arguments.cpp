#include "launch/page_table_arguments.hpp"

#include "launch/operand_args.hpp"
#include "launch/operand_words.hpp"
#include "launch/stride_arithmetic.hpp"

namespace ropejit::internal {
namespace {

// Of tokens, requests and places of a page, so that a page's number times its places overflows nothing.
constexpr std::int64_t kMostCount = (1LL << 31) - 1;

/// The words of one operand's refusals.
struct Words {
  const char* not_in_form;
  const char* list_given;
  const char* missing;
  const char* unaligned;
  const char* counts;
  const char* no_lists;
  const char* lists_of_table;
  const char* too_far;
  const char* row_of_lists;
  const char* block_size;
};

template <Part Name>
constexpr Words words_of() {
  return {kJoined<Name, "_page_table: found pages, allowed: none (the form has other rows)">,
          kJoined<Name, "_rows: found a pointer, allowed with page_lists or block_table: null (", Name,
                  "_page_table has the pages)">,
          kJoined<Name, "_page_table.pages: found null, allowed: a device pointer">,
          kJoined<Name, "_page_table: found a pointer that is not aligned to its element">,
          kJoined<Name,
                  "_page_table.requests or entries: found less than 1 or more than 2147483647 requests, allowed: "
                  "the sizes of the lists">,
          kJoined<Name, "_page_table.first_entries: found null, allowed with page_lists: a device pointer">,
          kJoined<Name,
                  "_page_table.first_entries or last_page_lengths: found a pointer, allowed with a block_table: "
                  "null">,
          kJoined<Name, "_page_table.row_stride: found a stride that reaches beyond any address space">,
          kJoined<Name, "_page_table.row_stride: found a number, allowed with page_lists: kContiguous">,
          kJoined<Name, "_block_size: found more than 2147483647, allowed with a page table: up to that">};
}
constexpr Words kWords[kMostOperands] = {{}, words_of<"k">(), words_of<"v">(), {}};

bool is_aligned(const void* pointer, std::uintptr_t bytes) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

const char* fill_table(const PlanOperand& operand, const OperandArgs& given, const Words& words,
                       PageTableLine& line) noexcept {
  const PageTable& table = *given.table;
  const bool is_lists = operand.rows == CacheRows::page_lists;
  if (given.rows != nullptr) return words.list_given;
  if (table.pages == nullptr) return words.missing;
  if (is_lists && table.first_entries == nullptr) return words.no_lists;
  if (!is_lists && (table.first_entries != nullptr || table.last_page_lengths != nullptr)) return words.lists_of_table;
  for (const std::int32_t* list : {table.pages, table.first_entries, table.last_page_lengths}) {
    if (!is_aligned(list, 4)) return words.unaligned;
  }
  if (table.requests < 1 || table.requests > kMostCount || table.entries < 1) return words.counts;
  if (is_lists && table.row_stride != kContiguous) return words.row_of_lists;
  const std::int64_t row = stride_or(table.row_stride, table.entries);
  if (reaches_too_far(table.requests, row) || reaches_too_far(table.entries, 1)) return words.too_far;
  if (given.slots.block_size > kMostCount) return words.block_size;
  line.pages = table.pages;
  line.first_entries = table.first_entries;
  line.last_lengths = table.last_page_lengths;
  line.requests = table.requests;
  line.entries = table.entries;
  line.row_stride = row;
  return nullptr;
}

/// A list that all operands' tables share. `has_table`: some operand that has work has one.
const char* check_list(const void* list, bool in_form, bool has_table, std::uintptr_t bytes, const char* unwanted,
                       const char* missing, const char* unaligned) noexcept {
  if (list == nullptr) return in_form && has_table ? missing : nullptr;
  if (!in_form) return unwanted;
  return is_aligned(list, bytes) ? nullptr : unaligned;
}

const char* check_token_lists(const LaunchForm& form, bool has_table, const RopeArgs& args) noexcept {
  if (const char* why = check_list(args.token_requests, form.token_requests != TokenRequests::sequences, has_table, 4,
                                   "token_requests: found a pointer, allowed: null (the form has no such list)",
                                   "token_requests: found null, allowed: a device pointer",
                                   "token_requests: found a pointer that is not aligned to its element")) {
    return why;
  }
  return check_list(args.token_places, form.token_places != TokenPlaces::positions, has_table,
                    form.token_places == TokenPlaces::ids64 ? 8 : 4,
                    "token_places: found a pointer, allowed: null (the form has no such list)",
                    "token_places: found null, allowed: a device pointer",
                    "token_places: found a pointer that is not aligned to its element");
}

/// Of tables that are brought the first that no operand takes; null: all are taken.
const char* find_unwanted(const RopeArgs& args, const std::array<bool, kMostOperands>& takes_table) noexcept {
  for (const OperandName name : {OperandName::k, OperandName::v}) {
    const auto number = static_cast<std::size_t>(name);
    if (!takes_table[number] && (args.*members_of(name).table).pages != nullptr) return kWords[number].not_in_form;
  }
  return nullptr;
}

}  // namespace

const char* refuse_page_tables(const RopeArgs& args) noexcept {
  if (const char* why = find_unwanted(args, {})) return why;
  return check_token_lists({}, false, args);
}

const char* fill_page_tables(const KernelClass& kernel_class, const RopeArgs& args, LaunchArguments& out) noexcept {
  const bool takes_any = kernel_class.has_page_table();
  if (!takes_any && !brings_page_tables(args)) return nullptr;
  bool has_table = false;
  std::array<bool, kMostOperands> takes_table{};
  for (std::size_t i = 0; i < kernel_class.operands.size(); ++i) {
    const PlanOperand& operand = kernel_class.operands[i];
    if (!operand.has_page_table()) continue;
    const auto name = static_cast<std::size_t>(operand.name);
    takes_table[name] = true;
    if (!out.has_work[i]) continue;
    has_table = true;
    PageTableLine& line = out.params.table[i];
    if (const char* why = fill_table(operand, args_of(args, operand.name), kWords[name], line)) return why;
    line.token_requests = args.token_requests;
    line.token_places = args.token_places;
  }
  if (const char* why = find_unwanted(args, takes_table)) return why;
  return check_token_lists(kernel_class.form, has_table, args);
}

}  // namespace ropejit::internal
