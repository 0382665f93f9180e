// Ed25519 signatures, and the keys for them as OpenSSL writes them. Pure.
#pragma once

#include <string>
#include <string_view>

namespace ropejit::internal {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kSignatureBytes = 64;

/// The 32 bytes of a public key in PEM ("BEGIN PUBLIC KEY", what `openssl pkey -pubout` writes) or as 64 hex digits,
/// white space around it; empty where the text is neither.
std::string read_public_key(std::string_view text);

/// The 32 bytes of a secret key (its seed) in PEM ("BEGIN PRIVATE KEY", what `openssl genpkey -algorithm ed25519`
/// writes) or as 64 hex digits; empty where the text is neither.
std::string read_secret_key(std::string_view text);

/// The 64 bytes of the signature of `text`. `secret_key`: 32 bytes. Throws Error{internal} where signing cannot work.
std::string sign(std::string_view text, std::string_view secret_key);

/// Whether the signature is of this text, by the key whose public half this is. False too where a length is wrong.
bool is_signed(std::string_view text, std::string_view signature, std::string_view public_key);

}  // namespace ropejit::internal
