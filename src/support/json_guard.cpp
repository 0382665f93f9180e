#include "support/json_guard.hpp"

#include <fmt/format.h>
#include <llvm/Support/ConvertUTF.h>
#include <llvm/Support/JSON.h>

#include <optional>
#include <unordered_set>
#include <vector>

#include "ropejit/error.hpp"
#include "support/field_error.hpp"
#include "support/text.hpp"

namespace ropejit::internal {
namespace {

constexpr std::string_view kBareNumbers[] = {"Infinity", "-Infinity", "NaN"};

void append_utf8(std::string& out, std::uint32_t code_point) {
  char bytes[UNI_MAX_UTF8_BYTES_PER_CODE_POINT];
  char* end = bytes;
  llvm::ConvertCodePointToUTF8(code_point, end);
  out.append(bytes, end);
}

// The four hex digits at the front of `text`.
std::optional<std::uint32_t> hex4(std::string_view text) {
  return text.size() < 4 ? std::nullopt : number_in<std::uint32_t>(text.substr(0, 4), 16);
}

// A key as the parser will see it, so that "a" and "\u0061" are known to be equal. A half of a surrogate pair
// becomes U+FFFD, as in llvm::json. Escapes that are no JSON stay as they are: the parser refuses them.
std::string unescape(std::string_view raw) {
  std::string out;
  while (!raw.empty()) {
    if (raw[0] != '\\' || raw.size() < 2) {
      out.push_back(raw[0]);
      raw.remove_prefix(1);
      continue;
    }
    const char kind = raw[1];
    raw.remove_prefix(2);
    switch (kind) {
      case 'b': out.push_back('\b'); break;
      case 'f': out.push_back('\f'); break;
      case 'n': out.push_back('\n'); break;
      case 'r': out.push_back('\r'); break;
      case 't': out.push_back('\t'); break;
      case 'u': {
        const std::optional<std::uint32_t> first = hex4(raw);
        if (!first) {
          out += "\\u";
          break;
        }
        raw.remove_prefix(4);
        if (*first < 0xD800 || *first > 0xDFFF) {
          append_utf8(out, *first);
          break;
        }
        const std::optional<std::uint32_t> second =
            *first < 0xDC00 && raw.substr(0, 2) == "\\u" ? hex4(raw.substr(2)) : std::nullopt;
        if (second && *second >= 0xDC00 && *second <= 0xDFFF) {
          append_utf8(out, 0x10000 + ((*first - 0xD800) << 10) + (*second - 0xDC00));
          raw.remove_prefix(6);
        } else {
          append_utf8(out, 0xFFFD);
        }
        break;
      }
      default: out.push_back(kind); break;
    }
  }
  return out;
}

Error json_error(std::string_view found, std::string_view allowed) {
  return field_error(ErrorCode::parse_error, "JSON", found, allowed);
}

class Guard {
 public:
  Guard(std::string_view text, std::vector<std::string>* duplicates) : text_(text), duplicates_(duplicates) {}

  std::string run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        take_string();
        continue;
      }
      if (c == 'I' || c == 'N' || c == '-') {
        if (take_bare_number()) continue;
      }
      if (c == '{' || c == '[') {
        open(c == '{' ? '}' : ']');
      } else if (c == '}' || c == ']') {
        close(c);
      } else if (c == ',' || c == ':') {
        if (!frames_.empty()) frames_.back().key_next = c == ',';
      }
      out_.push_back(c);
      ++at_;
    }
    return std::move(out_);
  }

 private:
  struct Frame {
    char closer;
    bool key_next = true;
    std::unordered_set<std::string> keys;
  };

  void open(char closer) {
    if (frames_.size() == kMaxJsonDepth) {
      throw json_error(fmt::format("brackets nested deeper than {} at byte {}", kMaxJsonDepth, at_),
                       fmt::format("at most {} levels", kMaxJsonDepth));
    }
    frames_.push_back(Frame{closer, true, {}});
  }

  // The parser would find a wrong bracket too, but its depth must never exceed what is counted here.
  void close(char closer) {
    if (frames_.empty() || frames_.back().closer != closer) {
      throw json_error(fmt::format("a '{}' that closes nothing at byte {}", closer, at_), "balanced brackets");
    }
    frames_.pop_back();
  }

  void take_string() {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) throw json_error(fmt::format("a string without end at byte {}", at_), "a closing quote");
    const std::string_view raw = text_.substr(at_ + 1, end - at_ - 1);
    if (!frames_.empty() && frames_.back().closer == '}' && frames_.back().key_next) {
      std::string key = unescape(raw);
      if (!frames_.back().keys.insert(key).second) {
        const Error twice = field_error(ErrorCode::parse_error, excerpt(key), "this key twice in one object", "once");
        if (duplicates_ == nullptr) throw twice;
        duplicates_->push_back(twice.what());
      }
    }
    out_.append(text_.substr(at_, end + 1 - at_));
    at_ = end + 1;
  }

  bool take_bare_number() {
    for (const std::string_view name : kBareNumbers) {
      if (text_.substr(at_, name.size()) != name) continue;
      out_.append("\"").append(name).append("\"");
      at_ += name.size();
      return true;
    }
    return false;
  }

  std::string_view text_;
  std::vector<std::string>* duplicates_;
  std::size_t at_ = 0;
  std::string out_;
  std::vector<Frame> frames_;
};

std::string guarded(std::string_view text, std::vector<std::string>* duplicates) {
  if (text.size() > kMaxJsonBytes) {
    throw json_error(fmt::format("{} bytes", text.size()), fmt::format("at most {} bytes", kMaxJsonBytes));
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) throw json_error("no text", "a JSON object");
  std::size_t bad = 0;
  if (!llvm::json::isUTF8(llvm::StringRef(text.data(), text.size()), &bad)) {
    throw json_error(fmt::format("a byte that is not UTF-8 at byte {}", bad), "UTF-8 text");
  }
  return Guard(text, duplicates).run();
}

}  // namespace

std::string guard_json(std::string_view text) { return guarded(text, nullptr); }

std::string guard_json(std::string_view text, std::vector<std::string>& duplicates) {
  return guarded(text, &duplicates);
}

}  // namespace ropejit::internal
