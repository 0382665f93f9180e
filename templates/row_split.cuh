// How the work of one token is cut into threads' shares. Constant arithmetic, shared by the kernels and by the host
// code that computes grids and legality, so that the two cannot disagree.
#pragma once

#ifdef __CUDACC__
#define ROPEJIT_ANYWHERE __host__ __device__
#else
#define ROPEJIT_ANYWHERE
#endif

namespace ropejit {

// The row of one head is read in words of `word_lanes` lanes. A thread takes one chunk of a row, for every head of a
// head group: words_per_thread words, for halves one in each half, for interleaved one (two where a word holds a single
// lane, so that the thread still has a whole pair). Where another layout is written, the same pairs make
// out_words_per_thread words of out_word_lanes lanes there. Out of place, a row's threads share out its still_words
// too: words of copy_lanes lanes that do not rotate, as wide as they allow. All threads do the same then: were some to
// rotate and others to copy, a warp would do one after the other. Head group g holds the heads g, g + groups, g + 2
// groups, ...: neighbouring threads stay on neighbouring heads, and heads_per_thread need not divide the head count.
// Where no lane rotates, a chunk is one word of copy_lanes lanes.
struct RowSplit {
  unsigned word_lanes;
  unsigned words_per_thread;
  unsigned out_word_lanes;
  unsigned out_words_per_thread;
  unsigned pairs_per_thread;
  unsigned copy_lanes;
  unsigned chunks;
  unsigned still_words;
  unsigned heads_per_thread;  // no more than there are
  unsigned groups;

  ROPEJIT_ANYWHERE constexpr unsigned items() const { return groups * chunks; }
};

// One head's row, as far as cutting it is concerned.
struct RowShape {
  unsigned heads;
  unsigned head_dim;
  unsigned first_lane;  // the first lane that rotates
  unsigned rotary_dim;  // lanes that rotate; 0: none
  bool copies;          // out of place: lanes that do not rotate are copied
  unsigned borders;     // bits of lanes at which what is done to them changes: words lie on one side of each
};

// The lanes that a copying word may have, from a variant's words up to 16 bytes.
ROPEJIT_ANYWHERE constexpr unsigned widest_copy(RowShape row, unsigned word_lanes, unsigned element_bytes) {
  unsigned lanes = word_lanes;
  while (2 * lanes * element_bytes <= 16 && row.head_dim % (2 * lanes) == 0 && row.first_lane % (2 * lanes) == 0 &&
         row.rotary_dim % (2 * lanes) == 0 && row.borders % (2 * lanes) == 0) {
    lanes *= 2;
  }
  return lanes;
}

// Cuts a row into words and chunks. `vectors`: words may be wider than one element.
ROPEJIT_ANYWHERE constexpr RowSplit split_row(RowShape row, bool interleaved, bool out_interleaved, unsigned word_lanes,
                                              unsigned element_bytes, bool vectors, unsigned heads_per_thread) {
  RowSplit split{};
  split.heads_per_thread = heads_per_thread < row.heads || row.heads == 0 ? heads_per_thread : row.heads;
  split.groups = (row.heads + split.heads_per_thread - 1) / split.heads_per_thread;
  split.word_lanes = word_lanes;
  split.copy_lanes = vectors ? widest_copy(row, word_lanes, element_bytes) : word_lanes;
  if (row.rotary_dim == 0) {
    split.word_lanes = split.out_word_lanes = split.copy_lanes;
    split.words_per_thread = split.out_words_per_thread = 1;
    split.chunks = row.head_dim / split.copy_lanes;
    return split;
  }
  split.words_per_thread = interleaved && word_lanes > 1 ? 1 : 2;
  split.pairs_per_thread = split.words_per_thread * word_lanes / 2;
  split.out_word_lanes = interleaved && !out_interleaved ? split.pairs_per_thread : word_lanes;
  split.out_words_per_thread = 2 * split.pairs_per_thread / split.out_word_lanes;
  split.chunks = row.rotary_dim / 2 / split.pairs_per_thread;
  split.still_words = row.copies ? (row.head_dim - row.rotary_dim) / split.copy_lanes : 0;
  return split;
}

// Where the threads of one token may begin and end.
enum class Cut : unsigned {
  items,  // anywhere: an item is one chunk of one head group
  warps,  // at warps: a warp's threads all belong to one token
  rows,   // at rows: all chunks of a head group stand in one block, which goes over them in `rounds`
  // At segments of a warp: the threads of a head group's rows are a power of two, neighbours, and hand each other what
  // they know of the whole row. Neighbouring chunks are one thread's, in `rounds`.
  segments,
  tokens,  // as at segments, and at warps: all threads of a token stand in one block
};

// What a block takes of one operand: all threads of a block work on the same one. Either `tokens` whole tokens,
// or one of the `parts` of a single token.
struct BlockSplit {
  unsigned items;        // of a token; by rows and by segments: groups x row_threads
  unsigned per_token;    // threads that a block gives to a token: its items, or a part of them, and some that idle
  unsigned tokens;       // of a block
  unsigned parts;        // of a token; 1 where tokens > 1
  unsigned row_threads;  // by rows and by segments: of one head group. Else 1
  unsigned rounds;       // by rows and by segments: chunks of a thread. Else 1

  ROPEJIT_ANYWHERE constexpr unsigned threads() const { return tokens * per_token; }
};

// Width of one access to `count` elements that lie together: 16 bytes at most, 32 where the variant's words are so
// wide.
ROPEJIT_ANYWHERE constexpr unsigned access_of(unsigned count, unsigned element_bytes, unsigned word_bytes) {
  const unsigned most = word_bytes == 32 ? 32 : 16;
  return count * element_bytes < most ? count * element_bytes : most;
}

ROPEJIT_ANYWHERE constexpr unsigned ceil_divide(unsigned a, unsigned b) { return (a + b - 1) / b; }

// The least power of two that is no less.
ROPEJIT_ANYWHERE constexpr unsigned power_from(unsigned number) {
  unsigned power = 1;
  while (power < number) power *= 2;
  return power;
}

// The largest power of two that divides `number`, which is not 0, and is at most `most`, itself a power of two.
ROPEJIT_ANYWHERE constexpr unsigned power_in(unsigned number, unsigned most) {
  unsigned power = 1;
  while (power < most && number % (2 * power) == 0) power *= 2;
  return power;
}

// The threads of a segment: a chunk each as far as a warp reaches. Where few lanes rotate, more: at most four of the
// words that do not rotate are one thread's.
ROPEJIT_ANYWHERE constexpr unsigned segment_threads(RowSplit row) {
  const unsigned still = ceil_divide(row.still_words, 4);
  const unsigned threads = power_from(row.chunks > still ? row.chunks : still);
  return threads < 32 ? threads : 32;
}

// Cuts one operand's work into blocks of at most `threads` threads, a multiple of 32.
ROPEJIT_ANYWHERE constexpr BlockSplit split_block(RowSplit row, Cut cut, unsigned threads) {
  BlockSplit block{};
  block.row_threads = 1;
  block.rounds = 1;
  block.items = row.items();
  unsigned unit = cut == Cut::warps || cut == Cut::tokens ? 32 : 1;
  if (cut == Cut::rows) {
    block.row_threads = row.chunks < threads ? row.chunks : threads;
    block.rounds = ceil_divide(row.chunks, block.row_threads);
    block.items = row.groups * block.row_threads;
    unit = block.row_threads;
  }
  if (cut == Cut::segments || cut == Cut::tokens) {
    block.row_threads = segment_threads(row);
    block.rounds = power_from(ceil_divide(row.chunks, block.row_threads));
    block.items = row.groups * block.row_threads;
    if (cut == Cut::segments) unit = block.row_threads;
  }
  const unsigned whole = ceil_divide(block.items, unit) * unit;
  if (whole <= threads) {
    block.per_token = whole == 0 ? 1 : whole;
    block.tokens = threads / block.per_token;
    block.parts = 1;
  } else {
    if (cut != Cut::rows) unit = 32;  // parts begin where memory lines do, as far as they can
    block.tokens = 1;
    const unsigned parts = ceil_divide(whole, threads / unit * unit);
    block.per_token = ceil_divide(ceil_divide(whole, parts), unit) * unit;
    block.parts = ceil_divide(whole, block.per_token);
  }
  return block;
}

// How many words that do not rotate, of all `heads` of a token, one thread copies; and how many of them at once.
ROPEJIT_ANYWHERE constexpr unsigned copies_of_thread(RowSplit row, unsigned heads, BlockSplit block) {
  return block.items == 0 ? 0 : ceil_divide(heads * row.still_words, block.items);
}
ROPEJIT_ANYWHERE constexpr unsigned copies_in_flight(unsigned copies) { return copies < 8 ? copies : 8; }

// The threads that all operands' blocks are launched with: as many as the first operand's blocks need. Blocks of the
// others have as many tokens as find room then.
ROPEJIT_ANYWHERE constexpr unsigned threads_of_block(BlockSplit first) { return ceil_divide(first.threads(), 32) * 32; }

}  // namespace ropejit
