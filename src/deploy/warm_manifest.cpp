#include "deploy/warm_manifest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>

#include "deploy/build_archs.hpp"
#include "spec/names.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr IntRange kSchema{1, 1};
constexpr IntRange kDegree{1, 1024};
constexpr std::string_view kOwnLayout = "own";

std::string text_of(const llvm::json::Value& value) {
  const auto text = value.getAsString();
  return text ? text->str() : std::string();
}

// The elements of a list, one by one. What occurs twice is a problem.
class List {
 public:
  List(std::string_view name, Problems& problems) : name_(name), problems_(problems) {}

  // `read` takes an element and its place, and tells of what is wrong with it.
  void each(const ObjectReader& reader, bool required,
            const std::function<void(const llvm::json::Value&, const std::string&)>& read) {
    const llvm::json::Value* value = reader.find(name_);
    if (value == nullptr && !required) return;
    const llvm::json::Array* array = value == nullptr ? nullptr : value->getAsArray();
    if (array == nullptr || array->empty()) {
      const std::string found = value == nullptr ? "nothing" : array == nullptr ? describe(*value) : "an empty array";
      problems_.add(fmt::format("{}: found {}, allowed: an array with one element or more", name_, found));
      return;
    }
    for (std::size_t i = 0; i < array->size(); ++i) {
      const llvm::json::Value& element = (*array)[i];
      const std::string place = fmt::format("{}[{}]", name_, i);
      const bool again = std::find(array->begin(), array->begin() + static_cast<std::ptrdiff_t>(i), element) !=
                         array->begin() + static_cast<std::ptrdiff_t>(i);
      if (again) {
        problems_.add(fmt::format("{}: found {} a second time, allowed: once", place, describe(element)));
      } else {
        read(element, place);
      }
    }
  }

 private:
  std::string name_;
  Problems& problems_;
};

const WarmModel* find_model(const std::vector<WarmModel>& models, std::string_view name) {
  const auto found = std::find_if(models.begin(), models.end(), [&](const WarmModel& m) { return m.name == name; });
  return found == models.end() ? nullptr : &*found;
}

// A model that is named and one that its family brings are one.
void add_model(const WarmModel& model, std::vector<WarmModel>& models) {
  if (find_model(models, model.name) == nullptr) models.push_back(model);
}

void read_models(const ObjectReader& reader, const std::vector<WarmModel>& known, WarmManifest& manifest,
                 Problems& problems) {
  const bool required = !reader.has("families");
  List("models", problems).each(reader, required, [&](const llvm::json::Value& value, const std::string& place) {
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
  List("families", problems).each(reader, false, [&](const llvm::json::Value& value, const std::string& place) {
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
  } else if (std::find(archs.begin(), archs.end(), *arch) != archs.end()) {
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
std::vector<T> read_list(std::string_view what, std::string_view list, Problems& problems, const Add& add) {
  const llvm::json::Object object = as_list(what, list);
  std::vector<T> read;
  List(what, problems).each(ObjectReader(object), true, [&](const llvm::json::Value& value, const std::string& place) {
    add(value, place, read, problems);
  });
  return read;
}

}  // namespace

WarmManifest read_warm_manifest(std::string_view text, const std::vector<WarmModel>& known, Problems& problems) {
  WarmManifest manifest;
  problems.attempt("", [&] {
    std::vector<std::string> twice;
    const llvm::json::Object object = parse_json_object(text, twice);
    for (std::string& line : twice) problems.add(std::move(line));
    const ObjectReader reader(object);
    constexpr std::string_view kKeys[] = {"schema",  "note",  "models",          "families", "dtypes",
                                          "layouts", "forms", "tensor_parallel", "archs"};
    for (const auto& [key, value] : object) {
      const std::string name = key.str();
      if (std::find(std::begin(kKeys), std::end(kKeys), name) == std::end(kKeys)) {
        problems.add(fmt::format("{}: found an unknown key, allowed: {}", excerpt(name), fmt::join(kKeys, ", ")));
      }
    }
    problems.attempt("", [&] { reader.get_int("schema", kSchema); });
    read_models(reader, known, manifest, problems);
    List("dtypes", problems).each(reader, true, [&](const llvm::json::Value& value, const std::string& place) {
      add_dtype(value, place, manifest.dtypes, problems);
    });
    if (reader.has("layouts")) manifest.layouts.clear();
    List("layouts", problems).each(reader, false, [&](const llvm::json::Value& value, const std::string& place) {
      add_layout(value, place, manifest.layouts, problems);
    });
    List("forms", problems).each(reader, true, [&](const llvm::json::Value& value, const std::string& place) {
      read_warm_form(value, place, manifest.forms, problems);
    });
    if (reader.has("tensor_parallel")) manifest.tensor_parallel.clear();
    List("tensor_parallel", problems)
        .each(reader, false, [&](const llvm::json::Value& value, const std::string& place) {
          add_degree(value, place, manifest.tensor_parallel, problems);
        });
    List("archs", problems).each(reader, false, [&](const llvm::json::Value& value, const std::string& place) {
      add_arch(value, place, manifest.archs, problems);
    });
  });
  return manifest;
}

std::vector<std::int64_t> read_degrees(std::string_view what, std::string_view list, Problems& problems) {
  return read_list<std::int64_t>(what, list, problems, add_degree);
}

std::vector<DType> read_dtypes(std::string_view what, std::string_view list, Problems& problems) {
  return read_list<DType>(what, list, problems, add_dtype);
}

std::vector<WarmForm> read_forms(std::string_view what, std::string_view list, Problems& problems) {
  return read_list<WarmForm>(what, list, problems, read_warm_form);
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
