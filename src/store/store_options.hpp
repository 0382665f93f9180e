// What a store is made of, and where that is read from.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/prune.hpp"
#include "store/trust.hpp"

namespace ropejit::internal {

struct StoreOptions {
  std::string directory;                    ///< the user's: read and written; empty: memory only
  std::vector<std::string> read_only = {};  ///< directories and bundles, looked at after it, in order; never changed
  bool first_is_users = false;  ///< the first of read_only is the user's, which need not be there (only_read)
  Trust trust = {};             ///< whose files all of them may hold
  Limits limits = {};           ///< what the user's directory may take
};

/// A variable of the environment, as long as nobody changes it. An empty one counts as unset, as XDG says of its own.
std::string_view environment(const char* name);

/// The options that the environment asks for, with the directory of cache_directory(option):
///
///   ROPEJIT_CACHE_PATH       read-only directories and bundles with ':' between them
///   ROPEJIT_TRUST            see store/trust.hpp; owner
///   ROPEJIT_CACHE_MAX_BYTES  see byte_count(); 1G
///   ROPEJIT_CACHE_MAX_AGE    days, 1 to 36,500; no limit
///
/// An empty variable counts as unset. Throws Error{invalid_argument} that names the variable.
StoreOptions store_options(const std::optional<std::string>& option);

/// These options, but none of the places is ever written to: the user's directory becomes the first of the read-only
/// ones.
StoreOptions only_read(StoreOptions options);

/// The user's cache directory: option, else ROPEJIT_CACHE_DIR, else $XDG_CACHE_HOME/ropejit, else $HOME/.cache/ropejit,
/// else "" (memory only). XDG_CACHE_HOME must be absolute to count, as its specification says.
std::string cache_directory(const std::optional<std::string>& option);

/// Reads "1000", "64K", "512M", "4G", "1T": a number below 2^50 bytes, units of 1,024. Throws Error{invalid_argument}
/// that begins with `field`.
std::uint64_t byte_count(std::string_view field, std::string_view text);

/// Reads "30" as days, 1 to 36,500. Throws Error{invalid_argument} that begins with `field`.
std::chrono::seconds day_count(std::string_view field, std::string_view text);

}  // namespace ropejit::internal
