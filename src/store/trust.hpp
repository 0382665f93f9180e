// Trust: whose files a cache directory may hold. What is in them will be executed.
//
//   owner       of this user or root, and writable by nobody else (the default)
//   gid:N       also writable by group N, and of any user if of group N: a volume that its members share
//   digest:HEX  whoever owns them, the files that v1/MANIFEST lists, whose BLAKE3-256 this is
//   key:FILE    the same, the manifest signed by the Ed25519 key whose public half is in FILE
//
// The first two are asked of every file and of the folders that lead to it, from the cache directory on. A directory
// that is trusted by its manifest is sealed: nothing is written to it.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

namespace ropejit::internal {

struct Trust {
  enum class Kind { owner, group, digest, key };
  Kind kind = Kind::owner;
  gid_t group = 0;         ///< for `group`: its number
  std::string digest;      ///< for `digest`: 64 hex digits
  std::string public_key;  ///< for `key`: 32 bytes
  std::string key_file;    ///< for `key`: where those bytes came from

  /// Whether a manifest is trusted: the owner of a file does not matter then, and nothing is written.
  bool sealed() const { return kind == Kind::digest || kind == Kind::key; }
};

/// Reads "owner", "gid:2000", "digest:HEX" or "key:FILE", and the file. Throws Error{invalid_argument} that begins with
/// `field`, also where the file cannot be read, holds no key, or could be changed by others.
Trust trust_named(std::string_view field, std::string_view text);

/// The text that trust_named reads.
std::string to_string(const Trust& trust);

/// Why a file or folder of this status is not trusted, in one line; empty where it is. Under a manifest all are.
std::string distrust(const Trust& trust, const struct stat& status);

}  // namespace ropejit::internal
