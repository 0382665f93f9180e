#include <fmt/format.h>

#include "cli/case.hpp"
#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "codegen/generate.hpp"

namespace ropejit::internal {
namespace {

// The generated file with its templates beside it, as their #include lines name them.
std::vector<std::string> write_sources(const KernelSource& source, const std::string& directory) {
  std::vector<std::string> files;
  const auto write = [&](std::string_view name, std::string_view text) {
    files.push_back(fmt::format("{}/{}", directory, name));
    make_directory("--out", files.back().substr(0, files.back().rfind('/')));
    write_file(files.back(), text);
  };
  write(source.entry + ".cu", source.text);
  for (const TextFile& file : template_files()) write(file.name, file.text);
  return files;
}

int run_source(const Arguments& arguments) {
  const Case given = read_case(arguments);
  const RotationPlan plan = plan_of(given);
  const Variant variant = read_variant(arguments, plan.kernel_class, given.tokens);
  const KernelSource source = generate(plan, variant);
  const std::optional<std::string> directory = arguments.text("--out");
  const std::vector<std::string> files = directory ? write_sources(source, *directory) : std::vector<std::string>();
  if (!arguments.has("--json")) {
    std::string text = directory ? "" : source.text;
    for (const std::string& file : files) text += file + "\n";
    print(text);
    return 0;
  }
  print(json_object([&](llvm::json::OStream& out) {
    attribute_known(out, given.known);
    attribute(out, "entry", source.entry);
    attribute(out, "variant", to_string(variant));
    attribute(out, "source", source.text);
    attribute_list(out, "files", files);
  }));
  return 0;
}

}  // namespace

Command source_command() {
  return {"source",
          "prints the CUDA source that is generated",
          joined({case_flags(),
                  {variant_flag(),
                   {"--out", "DIR", "write the source and its templates there (print the source)"},
                   {"--json", "", "one JSON object on stdout"}}}),
          {},
          run_source};
}

}  // namespace ropejit::internal
