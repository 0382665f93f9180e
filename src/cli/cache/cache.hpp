// The verbs of `ropejit cache`. Each prints what it has to say and returns the exit status; throws Error.
#pragma once

#include <string>

#include "cli/arguments.hpp"
#include "store/store.hpp"

namespace ropejit::internal {

int cache_path(const BinaryStore& store, const Arguments& arguments);
int cache_ls(const BinaryStore& store, const Arguments& arguments);
int cache_show(const BinaryStore& store, const Arguments& arguments);
/// Returns 1 where an entry is damaged or not trusted.
int cache_verify(const BinaryStore& store, const Arguments& arguments);
int cache_prune(const BinaryStore& store, const Arguments& arguments);
int cache_clear(const BinaryStore& store, const Arguments& arguments);
int cache_manifest(const BinaryStore& store, const Arguments& arguments);
/// Both of these return 1 where not all could be done.
int cache_export(const BinaryStore& store, const Arguments& arguments);
int cache_import(const BinaryStore& store, const Arguments& arguments);

/// Throws where there is no directory to do something to.
void expect_directory(const BinaryStore& store);
/// Throws where there is no directory, and where a bundle is in its place.
void expect_no_bundle(const BinaryStore& store);
/// The 32 bytes of the key that --sign names; empty where it was not given.
std::string signing_key(const Arguments& arguments);

}  // namespace ropejit::internal
