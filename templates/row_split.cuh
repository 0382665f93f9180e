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
// head group:
//  - a rotating chunk is words_per_thread words: for halves one in each half, for interleaved one (two where a
//    word holds a single lane, so that the thread still has a whole pair). Where another layout is written, the same
//    pairs make out_words_per_thread words of out_word_lanes lanes there;
//  - a copying chunk is one word of lanes that do not rotate (out of place only).
// Head group g holds the heads g, g + groups, g + 2 groups, ...: neighbouring threads stay on neighbouring heads,
// and heads_per_thread need not divide the head count.
struct RowSplit {
  unsigned word_lanes;
  unsigned words_per_thread;
  unsigned out_word_lanes;
  unsigned out_words_per_thread;
  unsigned pairs_per_thread;
  unsigned rotating_chunks;
  unsigned copying_chunks;
  unsigned groups;

  ROPEJIT_ANYWHERE constexpr unsigned chunks() const { return rotating_chunks + copying_chunks; }
  ROPEJIT_ANYWHERE constexpr unsigned items() const { return groups * chunks(); }
};

ROPEJIT_ANYWHERE constexpr RowSplit split_row(unsigned heads, unsigned head_dim, unsigned rotary_dim, bool interleaved,
                                              bool out_interleaved, bool copies, unsigned word_lanes,
                                              unsigned heads_per_thread) {
  RowSplit split{};
  split.word_lanes = word_lanes;
  split.words_per_thread = interleaved && word_lanes > 1 ? 1 : 2;
  split.pairs_per_thread = split.words_per_thread * word_lanes / 2;
  split.out_word_lanes = interleaved && !out_interleaved ? split.pairs_per_thread : word_lanes;
  split.out_words_per_thread = 2 * split.pairs_per_thread / split.out_word_lanes;
  split.rotating_chunks = rotary_dim / 2 / split.pairs_per_thread;
  split.copying_chunks = copies ? (head_dim - rotary_dim) / word_lanes : 0;
  split.groups = (heads + heads_per_thread - 1) / heads_per_thread;
  return split;
}

// What a block takes of a slab of tokens:
//  - as a rule, an item is one chunk of one head group, and a thread has one item;
//  - by rows, an item is all chunks of one head group, and row_threads threads of one block share it, each taking
//    `rounds` of its rotating chunks.
struct BlockSplit {
  unsigned items_per_token;  // q's, then k's
  unsigned items_per_block;
  unsigned row_threads;
  unsigned rounds;
};

ROPEJIT_ANYWHERE constexpr BlockSplit split_block(RowSplit q, RowSplit k, bool by_rows, unsigned threads) {
  if (!by_rows) return {q.items() + k.items(), threads, 1, 1};
  const unsigned row_threads = q.rotating_chunks < threads ? q.rotating_chunks : threads;
  return {q.groups + k.groups, threads / row_threads, row_threads, (q.rotating_chunks + row_threads - 1) / row_threads};
}

// The most tokens that `threads` items in a row, from a multiple of `threads` on, can belong to.
ROPEJIT_ANYWHERE constexpr unsigned tokens_of_block(unsigned items, unsigned threads) {
  if (threads % items == 0) return threads / items;
  return items % threads == 0 ? 1 : (threads + items - 2) / items + 1;
}

}  // namespace ropejit
