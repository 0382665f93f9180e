#include "deploy/warm_manifest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <set>

#include "host/host_compiler.hpp"
#include "spec/names.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kSchema{1, 1};
constexpr IntRange kDegree{1, 1024};
constexpr std::string_view kOwnLayout = "own";
constexpr std::string_view kArchs[] = {"sm_75", "sm_80",  "sm_86",  "sm_87",  "sm_88",  "sm_89",
                                       "sm_90", "sm_100", "sm_103", "sm_110", "sm_120", "sm_121"};

std::string text_of(const llvm::json::Value& value) {
  const auto text = value.getAsString();
  return text ? text->str() : std::string();
}

// The elements of a list, one by one: `read` takes an element and its place, and tells of what is wrong with it. What
// occurs twice is a problem.
void each_of(const ObjectReader& reader, std::string_view name, bool required, Problems& problems,
             llvm::function_ref<void(const llvm::json::Value&, const std::string&)> read) {
  const llvm::json::Value* value = reader.find(name);
  if (value == nullptr && !required) return;
  const llvm::json::Array* array = value == nullptr ? nullptr : value->getAsArray();
  if (array == nullptr || array->empty()) {
    const std::string found = value == nullptr ? "nothing" : array == nullptr ? describe(*value) : "an empty array";
    problems.add(fmt::format("{}: found {}, allowed: an array with one element or more", name, found));
    return;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    const auto element = array->begin() + static_cast<std::ptrdiff_t>(i);
    const std::string place = fmt::format("{}[{}]", name, i);
    if (std::find(array->begin(), element, *element) != element) {
      problems.add(fmt::format("{}: found {} a second time, allowed: once", place, describe(*element)));
    } else {
      read(*element, place);
    }
  }
}

// The same into `list`, by `add`.
template <class T, class Add>
void read_list(const ObjectReader& reader, std::string_view name, bool required, std::vector<T>& list,
               Problems& problems, const Add& add) {
  each_of(reader, name, required, problems,
          [&](const llvm::json::Value& value, const std::string& place) { add(value, place, list, problems); });
}

const WarmModel* find_model(const std::vector<WarmModel>& models, std::string_view name) {
  const auto found = llvm::find_if(models, [&](const WarmModel& m) { return m.name == name; });
  return found == models.end() ? nullptr : &*found;
}

// A model that is named and one that its family brings are one.
void add_model(const WarmModel& model, std::vector<WarmModel>& models) {
  if (find_model(models, model.name) == nullptr) models.push_back(model);
}

void read_models(const ObjectReader& reader, const std::vector<WarmModel>& known, WarmManifest& manifest,
                 Problems& problems) {
  const bool required = !reader.has("families");
  each_of(reader, "models", required, problems, [&](const llvm::json::Value& value, const std::string& place) {
    if (const llvm::json::Object* object = value.getAsObject()) {
      WarmModel model = read_warm_model(*object, place, problems);
      if (find_model(manifest.models, model.name) != nullptr) {
        problems.add(fmt::format("{}: found {} a second time, allowed: once", place, quoted(model.name)));
      }
      manifest.models.push_back(std::move(model));
    } else if (const WarmModel* model = find_model(known, text_of(value))) {
      add_model(*model, manifest.models);
    } else {
      problems.add(fmt::format("{}: found {}, allowed: one of {} names (`ropejit warm --list`), or a model's object",
                               place, describe(value), known.size()));
    }
  });
  std::set<std::string> families;
  for (const WarmModel& model : known) families.insert(model.family);
  each_of(reader, "families", false, problems, [&](const llvm::json::Value& value, const std::string& place) {
    if (!families.contains(text_of(value))) {
      problems.add(fmt::format("{}: found {}, allowed: {}", place, describe(value), fmt::join(families, ", ")));
    }
    for (const WarmModel& model : known) {
      if (model.family == text_of(value)) add_model(model, manifest.models);
    }
  });
}

template <class E>
std::optional<E> enum_of(const llvm::json::Value& value) {
  for (const Named<E>& one : kNames<E>) {
    if (value.getAsString() == llvm::StringRef(one.name)) return one.value;
  }
  return std::nullopt;
}

void add_dtype(const llvm::json::Value& value, const std::string& place, std::vector<DType>& dtypes,
               Problems& problems) {
  if (const auto dtype = enum_of<DType>(value)) {
    dtypes.push_back(*dtype);
  } else {
    problems.add(fmt::format("{}: found {}, allowed: {}", place, describe(value), names_of<DType>()));
  }
}

void add_layout(const llvm::json::Value& value, const std::string& place, std::vector<std::optional<Layout>>& layouts,
                Problems& problems) {
  const auto layout = enum_of<Layout>(value);
  if (layout || text_of(value) == kOwnLayout) {
    layouts.push_back(layout);
  } else {
    problems.add(fmt::format("{}: found {}, allowed: {}, {}", place, describe(value), kOwnLayout, names_of<Layout>()));
  }
}

void add_degree(const llvm::json::Value& value, const std::string& place, std::vector<std::int64_t>& degrees,
                Problems& problems) {
  const auto degree = value.getAsInteger();
  if (degree && kDegree.contains(*degree)) {
    degrees.push_back(*degree);
  } else {
    problems.add(fmt::format("{}: found {}, allowed: {}", place, describe(value), kDegree.describe()));
  }
}

// Two names of one arch are that arch twice.
void add_arch(const llvm::json::Value& value, const std::string& place, std::vector<std::string>& archs,
              Problems& problems) {
  const std::optional<std::string> arch = arch_named(text_of(value));
  if (!arch) {
    problems.add(fmt::format("{}: found {}, allowed: {}", place, describe(value), allowed_archs()));
  } else if (llvm::is_contained(archs, *arch)) {
    problems.add(fmt::format("{}: found {} a second time, allowed: once", place, *arch));
  } else {
    archs.push_back(*arch);
  }
}

// "a,b" as an array of JSON, for the readers above; whole numbers as numbers.
llvm::json::Object as_list(std::string_view name, std::string_view list) {
  llvm::json::Array array;
  for (const std::string_view part : split(list, ',')) {
    if (const auto number = number_in<std::int64_t>(part)) {
      array.push_back(*number);
    } else {
      array.push_back(llvm::json::fixUTF8(std::string(part)));
    }
  }
  llvm::json::Object object;
  object[llvm::json::ObjectKey(std::string(name))] = std::move(array);
  return object;
}

template <class T, class Add>
std::vector<T> read_words(std::string_view what, std::string_view list, Problems& problems, const Add& add) {
  const llvm::json::Object object = as_list(what, list);
  std::vector<T> read;
  read_list(ObjectReader(object), what, true, read, problems, add);
  return read;
}

}  // namespace

std::vector<std::string> build_archs() { return {std::begin(kArchs), std::end(kArchs)}; }

std::optional<std::string> arch_named(std::string_view text) {
  if (text == "host" || text == kHostArch) return std::string(kHostArch);
  if (text.starts_with("sm_")) text.remove_prefix(3);
  std::string digits(text);
  // "9.0", "12.0": one digit behind the dot, and one dot.
  if (const std::size_t dot = digits.find('.'); dot != std::string::npos) {
    if (dot + 2 != digits.size()) return std::nullopt;
    digits.erase(dot, 1);
  }
  const std::string name = "sm_" + digits;
  if (!llvm::is_contained(kArchs, name)) return std::nullopt;
  return name;
}

std::string allowed_archs() { return fmt::format("{}, host", fmt::join(kArchs, ", ")); }

WarmManifest read_warm_manifest(std::string_view text, const std::vector<WarmModel>& known, Problems& problems) {
  WarmManifest manifest;
  problems.attempt("", [&] {
    const llvm::json::Object object = parse_json_object(text, problems);
    const ObjectReader reader(object);
    constexpr std::string_view kKeys[] = {"schema",  "note",  "models",          "families", "dtypes",
                                          "layouts", "forms", "tensor_parallel", "archs"};
    for (const auto& [key, value] : object) {
      const std::string name = key.str();
      if (!llvm::is_contained(kKeys, name)) {
        problems.add(fmt::format("{}: found an unknown key, allowed: {}", excerpt(name), fmt::join(kKeys, ", ")));
      }
    }
    problems.attempt("", [&] { reader.get_int("schema", kSchema); });
    read_models(reader, known, manifest, problems);
    read_list(reader, "dtypes", true, manifest.dtypes, problems, add_dtype);
    if (reader.has("layouts")) manifest.layouts.clear();
    read_list(reader, "layouts", false, manifest.layouts, problems, add_layout);
    read_list(reader, "forms", true, manifest.forms, problems, read_warm_form);
    if (reader.has("tensor_parallel")) manifest.tensor_parallel.clear();
    read_list(reader, "tensor_parallel", false, manifest.tensor_parallel, problems, add_degree);
    read_list(reader, "archs", false, manifest.archs, problems, add_arch);
  });
  return manifest;
}

std::vector<std::int64_t> read_degrees(std::string_view what, std::string_view list, Problems& problems) {
  return read_words<std::int64_t>(what, list, problems, add_degree);
}

std::vector<DType> read_dtypes(std::string_view what, std::string_view list, Problems& problems) {
  return read_words<DType>(what, list, problems, add_dtype);
}

std::vector<WarmForm> read_forms(std::string_view what, std::string_view list, Problems& problems) {
  return read_words<WarmForm>(what, list, problems, read_warm_form);
}

std::vector<std::string> read_archs(std::string_view what, std::string_view list, Problems& problems) {
  // "9.0" and "90" are words here, though "90" is a number above.
  std::vector<std::string> archs;
  const std::vector<std::string_view> words = split(list, ',');
  for (std::size_t i = 0; i < words.size(); ++i) {
    add_arch(llvm::json::fixUTF8(std::string(words[i])), fmt::format("{}[{}]", what, i), archs, problems);
  }
  return archs;
}

}  // namespace ropejit::internal
