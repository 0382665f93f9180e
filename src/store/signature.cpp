#include "store/signature.hpp"

#include <llvm/ADT/StringRef.h>
#include <sodium.h>

#include <array>

#include "ropejit/error.hpp"

namespace ropejit::internal {
namespace {

static_assert(kKeyBytes == crypto_sign_PUBLICKEYBYTES);
static_assert(kKeyBytes == crypto_sign_SEEDBYTES);
static_assert(kSignatureBytes == crypto_sign_BYTES);

// What stands before the key in the DER of RFC 8410: the algorithm, and the lengths around a key of 32 bytes.
constexpr std::string_view kPublicPrefix("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);
constexpr std::string_view kSecretPrefix("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16);

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

std::string_view trimmed(std::string_view text) { return llvm::StringRef(text.data(), text.size()).trim(" \t\r\n"); }

std::string from_hex(std::string_view text) {
  std::string key(kKeyBytes, '\0');
  std::size_t got = 0;
  if (text.size() != 2 * kKeyBytes ||
      sodium_hex2bin(raw(key), key.size(), text.data(), text.size(), nullptr, &got, nullptr) != 0 || got != kKeyBytes) {
    return {};
  }
  return key;
}

std::string from_pem(std::string_view text, std::string_view begin, std::string_view end, std::string_view prefix) {
  const std::size_t from = text.find(begin);
  if (from == std::string_view::npos) return {};
  const std::size_t to = text.find(end, from);
  if (to == std::string_view::npos) return {};
  const std::string_view body = text.substr(from + begin.size(), to - from - begin.size());
  std::string der(prefix.size() + kKeyBytes, '\0');
  std::size_t got = 0;
  if (sodium_base642bin(raw(der), der.size(), body.data(), body.size(), " \t\r\n", &got, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0 ||
      got != der.size() || !std::string_view(der).starts_with(prefix)) {
    return {};
  }
  return der.substr(prefix.size());
}

// Chooses implementations and prepares the generator of random numbers (which nothing here asks for). Safe from any
// thread, any number of times.
bool is_ready() { return sodium_init() >= 0; }

}  // namespace

std::string read_public_key(std::string_view text) {
  if (std::string key = from_hex(trimmed(text)); !key.empty()) return key;
  return from_pem(text, "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----", kPublicPrefix);
}

std::string read_secret_key(std::string_view text) {
  if (std::string key = from_hex(trimmed(text)); !key.empty()) return key;
  return from_pem(text, "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", kSecretPrefix);
}

std::string sign(std::string_view text, std::string_view secret_key) {
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> public_half;
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> both_halves;
  std::string signature(kSignatureBytes, '\0');
  if (secret_key.size() != kKeyBytes || !is_ready() ||
      crypto_sign_seed_keypair(public_half.data(), both_halves.data(), raw(secret_key)) != 0 ||
      crypto_sign_detached(raw(signature), nullptr, raw(text), text.size(), both_halves.data()) != 0) {
    throw Error(ErrorCode::internal, "store", "the library for signatures did not make one");
  }
  sodium_memzero(both_halves.data(), both_halves.size());
  return signature;
}

bool is_signed(std::string_view text, std::string_view signature, std::string_view public_key) {
  return signature.size() == kSignatureBytes && public_key.size() == kKeyBytes && is_ready() &&
         crypto_sign_verify_detached(raw(signature), raw(text), text.size(), raw(public_key)) == 0;
}

}  // namespace ropejit::internal
