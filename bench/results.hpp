// One measurement as a JSON line, and files of them that a later run continues.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ropejit::bench {

/// Where and with what a line was made.
struct Environment {
  std::string gpu;      ///< "NVIDIA H100 80GB HBM3", or "host"
  std::string arch;     ///< "sm_90"
  std::string driver;   ///< "580.159.04 (CUDA 13.0)"; empty on the host
  std::string nvrtc;    ///< "NVRTC 13.0", or the host compiler
  std::string version;  ///< of this library
  std::string date;     ///< "2026-11-22"
  std::string command;
};

/// A variant in a cell. Times are of one launch, in microseconds.
struct Record {
  std::string cell;  ///< the case's name
  std::int64_t tokens = 0;
  std::string l2;            ///< "hot": the same tensors again and again; "cold": launches find nothing of theirs in L2
  std::string selection;     ///< which variants the run was asked for: "default", "best", "all", or a list
  std::int64_t records = 1;  ///< lines that the cell has in all: fewer, and the run was stopped in between

  std::string variant;
  bool is_default = false;  ///< serves this size untuned
  double us = 0;            ///< median
  double lower_us = 0;      ///< quartiles
  double upper_us = 0;
  double spread_us = 0;  ///< median absolute deviation
  std::int64_t samples = 0;
  std::int64_t launches = 0;  ///< a sample is the mean of so many launches, replayed as one graph

  double floor_us = 0;  ///< of the fastest copy, median
  double floor_spread_us = 0;
  std::string floor;  ///< which copy: see floors.hpp
  double linear_us =
      0;  ///< of the fastest copy of as many bytes that lie together: the floor, but for partial rotation
  std::string linear;
  double ratio = 0;        ///< us / floor_us
  std::int64_t bytes = 0;  ///< Cell::bytes
  std::int64_t registers = -1;
  std::int64_t spill_bytes = -1;

  Environment environment;
};

/// Without the newline.
std::string to_json_line(const Record& record);
/// Throws Error for text that to_json_line did not write.
Record parse_record(std::string_view line);

/// What makes a cell of a run: it is measured once.
struct CellKey {
  std::string cell;
  std::int64_t tokens = 0;
  std::string l2;
  std::string selection;

  friend auto operator<=>(const CellKey&, const CellKey&) = default;
};
CellKey key_of(const Record& record);

/// Cells of which all lines are there.
std::map<CellKey, std::vector<Record>> whole_cells(const std::vector<Record>& records);

struct ResultText {
  std::vector<Record> records;
  std::size_t whole_bytes = 0;  ///< the text up to the last whole line; what follows was cut off in the writing
};
/// All whole lines. Throws Error, with the line's number, where one is not a record.
ResultText parse_results(std::string_view text, std::string_view file);

/// Records of a file; of none where there is no such file. Throws Error.
std::vector<Record> read_results(const std::string& path);

/// Appends to what `path` leads to, by the rules of internal::OutputFile. Throws Error of this stage.
void append_output(const char* stage, const std::string& path, std::string_view text);

/// A file that grows by whole cells: each is one write, so that a run may be ended at any time.
class ResultFile {
 public:
  /// "": nothing is kept. A half-written last line is cut off the file; what is no regular file has no cells before.
  /// Throws Error.
  explicit ResultFile(std::string path);

  const std::vector<Record>& found() const { return found_; }  ///< what was there already
  /// Throws Error.
  void append(const std::vector<Record>& records) const;

 private:
  std::string path_;
  std::vector<Record> found_;
};

}  // namespace ropejit::bench
