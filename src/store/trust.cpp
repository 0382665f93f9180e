#include "store/trust.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <llvm/ADT/StringRef.h>
#include <unistd.h>

#include <limits>
#include <system_error>

#include "store/file/ops.hpp"
#include "store/file/read.hpp"
#include "store/signature.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::uint64_t kMaxKeyFileBytes = 4096;
constexpr std::string_view kAllowed = "owner, gid:N, digest:HEX (64 digits), key:FILE";

Trust by_key(std::string_view field, std::string_view path) {
  const FileOps& ops = system_file_ops();
  Trust trust;
  trust.kind = Trust::Kind::key;
  trust.key_file = path;
  // Links are followed: mounted secrets are links. Who named the file answers for the way to it.
  const FileContents file = read_file(ops, Trust(), AT_FDCWD, trust.key_file, kMaxKeyFileBytes, Links::followed);
  const std::string name = fmt::format("key:{}", excerpt(path));
  const auto refuse = [&](std::string_view why) {
    return field_error(ErrorCode::invalid_argument, field, fmt::format("{}: {}", name, why),
                       "a file of this user or root that holds an Ed25519 public key");
  };
  if (!file.bytes) throw refuse(file.problem);
  trust.public_key = read_public_key(*file.bytes);
  if (trust.public_key.empty()) throw refuse("no Ed25519 public key in PEM or 64 hex digits");
  return trust;
}

}  // namespace

Trust trust_named(std::string_view field, std::string_view text) {
  Trust trust;
  if (text == "owner") return trust;
  if (text.starts_with("gid:")) {
    const auto group = number_in<gid_t>(text.substr(4));
    // The last number stands for "no group" in the system's calls.
    if (group && *group != std::numeric_limits<gid_t>::max()) {
      trust.kind = Trust::Kind::group;
      trust.group = *group;
      return trust;
    }
  }
  if (text.starts_with("digest:")) {
    trust.kind = Trust::Kind::digest;
    trust.digest = llvm::StringRef(text.data(), text.size()).drop_front(7).lower();
    if (trust.digest.size() == 64 && trust.digest.find_first_not_of("0123456789abcdef") == std::string::npos) {
      return trust;
    }
  }
  if (text.starts_with("key:") && text.size() > 4) return by_key(field, text.substr(4));
  throw field_error(ErrorCode::invalid_argument, field, quoted(text), kAllowed);
}

std::string to_string(const Trust& trust) {
  switch (trust.kind) {
    case Trust::Kind::owner: break;
    case Trust::Kind::group: return fmt::format("gid:{}", trust.group);
    case Trust::Kind::digest: return "digest:" + trust.digest;
    case Trust::Kind::key: return "key:" + trust.key_file;
  }
  return "owner";
}

std::string distrust(const Trust& trust, const struct stat& status) {
  if (trust.sealed()) return {};
  const bool by_group = trust.kind == Trust::Kind::group && status.st_gid == trust.group;
  // A member of the group could replace the file anyway, so what it owns is as good as what it may write.
  if (status.st_uid != ::geteuid() && status.st_uid != 0 && !by_group) {
    return fmt::format("owned by user {}, allowed: this user or root", status.st_uid);
  }
  const mode_t others = by_group ? S_IWOTH : S_IWGRP | S_IWOTH;
  if ((status.st_mode & others) != 0) {
    return fmt::format("mode {:o}, allowed: writable by its owner{} alone", status.st_mode & 07777u,
                       by_group ? " and its group" : "");
  }
  return {};
}

}  // namespace ropejit::internal
