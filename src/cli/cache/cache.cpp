// ropejit cache: what is in the cache directories, and what can be done about it. A file for each group of verbs.
#include "cli/cache/cache.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/STLExtras.h>

#include <algorithm>

#include "cli/command.hpp"
#include "ropejit/error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

struct Verb {
  const char* name;
  int (*run)(const BinaryStore& store, const Arguments& arguments);
  std::vector<std::string_view> flags;  ///< options that this verb alone takes
  std::size_t words;                    ///< that must follow it
  const char* word_is = "";             ///< what such a word is
};

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {{"path", cache_path, {}, 0},
                                        {"ls", cache_ls, {}, 0},
                                        {"show", cache_show, {}, 1, "the first digits of a key, as ls shows it"},
                                        {"verify", cache_verify, {}, 0},
                                        {"prune", cache_prune, {"--max-bytes", "--max-age"}, 0},
                                        {"clear", cache_clear, {}, 0},
                                        {"manifest", cache_manifest, {"--sign"}, 0},
                                        {"export", cache_export, {"--out", "--arch", "--sign", "--force"}, 0},
                                        {"import", cache_import, {}, 1, "the path of a bundle"}};
  return all;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Verb& verb : verbs()) all.emplace_back(verb.name);
  return all;
}

int run_cache(const Arguments& arguments) {
  const std::string word = arguments.positional().empty() ? "" : arguments.positional()[0];
  for (const Verb& verb : verbs()) {
    if (word != verb.name) continue;
    for (const Verb& other : verbs()) {
      for (const std::string_view flag : other.flags) {
        const bool own = llvm::is_contained(verb.flags, flag);
        if (!own && arguments.has(flag)) {
          throw bad_argument("{}: {} belongs to {}", word, flag, other.name);
        }
      }
    }
    const std::size_t found = arguments.positional().size() - 1;
    if (found != verb.words) {
      if (verb.words == 0) {
        throw bad_argument("{}: found the word {}, allowed: none", word, quoted(arguments.positional()[1]));
      }
      throw bad_argument("{}: found nothing, allowed: {}", word, verb.word_is);
    }
    return verb.run(BinaryStore(store_options(arguments.text("--cache-dir"))), arguments);
  }
  throw bad_argument("cache: found {}, allowed: {}", word.empty() ? "nothing" : quoted(word), fmt::join(names(), ", "));
}

}  // namespace

void expect_directory(const BinaryStore& store) {
  if (!store.directory().empty()) return;
  throw bad_argument("cache: found no cache directory, allowed: --cache-dir, or ROPEJIT_CACHE_DIR or HOME set");
}

void expect_no_bundle(const BinaryStore& store) {
  expect_directory(store);
  if (store.tiers().front()->state().kind != TierState::Kind::bundle) return;
  throw bad_argument("cache: {}: found a bundle, allowed: a directory, as bundles are not changed", store.directory());
}

Command cache_command() {
  return {
      "cache",
      "shows where binaries are kept (path), which (ls, show), whether they are whole (verify); prune, clear, "
      "manifest; "
      "export makes a bundle of it, import unpacks one",
      {{"--cache-dir", "DIR", "look here ($ROPEJIT_CACHE_DIR, else $XDG_CACHE_HOME/ropejit, else ~/.cache/ropejit)"},
       {"--max-bytes", "N", "prune: what may stay, as 512M or 4G ($ROPEJIT_CACHE_MAX_BYTES, else 1G)"},
       {"--max-age", "DAYS", "prune: how long ago the last use may be ($ROPEJIT_CACHE_MAX_AGE, else no limit)"},
       {"--sign", "FILE", "manifest, export: sign with this Ed25519 secret key (openssl genpkey -algorithm ed25519)"},
       {"--out", "FILE", "export: the bundle to make, or to replace"},
       {"--arch", "LIST", "export: only what is for these, as sm_90,sm_100 or 9.0,10.0 or host (all)"},
       {"--force", "", "export: replace a file that is no bundle"},
       {"--json", "", "one JSON value on stdout"}},
      names(),
      run_cache,
      {"[KEY|FILE]"}};
}

}  // namespace ropejit::internal
