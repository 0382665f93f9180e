/* What a Site keeps, and what one call of it read: shared by site.c (the Python type) and call.c (one rotation). */
#pragma once

#include "native.h"

enum { OPERANDS = ROPEJIT_V + 1 }; /* operands of a launch, at most; numbered by their names in ropejit.h */

/* What decides which kernel serves a call. Python is given these numbers in this order (_templates.py). */
enum {
  KEY_DEVICE_TYPE,
  KEY_DEVICE,
  KEY_DTYPE,
  KEY_TABLE_DTYPE, /* DTYPE_OTHER: without a table */
  KEY_TABLE_WIDTH, /* numbers a row, as the tensor has them */
  KEY_POSITIONS_DTYPE,
  KEY_CONTIGUOUS,
  KEY_TOKEN_REQUESTS,     /* 1: a page table comes with the request of each token */
  KEY_TOKEN_PLACES_DTYPE, /* DTYPE_OTHER: a page table comes without the place of each token */
  KEY_OPERANDS,           /* for each of q, k and v the seven below */
  KEY_OF_HEADS = 0,       /* 0: it is not there */
  KEY_OF_DIM,
  KEY_OF_OUT_DTYPE,    /* of a tensor that the caller brought to be written; else DTYPE_OTHER */
  KEY_OF_ROWS_DTYPE,   /* DTYPE_OTHER: without rows of a cache, or slots; ROWS_...: by a page table */
  KEY_OF_WEIGHT_DTYPE, /* DTYPE_OTHER: without weights of a norm */
  KEY_OF_BESIDE,       /* 1: it is written beside the cache, too */
  KEY_OF_SPLIT,        /* 1: the cache has its lanes in groups of 16 bytes */
  KEY_OPERAND_LENGTH,
  KEY_LENGTH = KEY_OPERANDS + OPERANDS * KEY_OPERAND_LENGTH
};

/* Beside the numbers of dtypes. Python has these, too (_templates.py). */
enum { ROWS_PAGE_LISTS = 16, ROWS_BLOCK_TABLE = 17 };

typedef struct Entry {
  int64_t key[KEY_LENGTH];
  PyObject* kernel;
  struct Entry* next;
} Entry;

/* What positions are, as in ropejit.h but for the width of the numbers. */
typedef enum PositionKind { AT_START, AT_IDS, AT_OFFSETS, AT_RAGGED } PositionKind;

typedef struct Site {
  PyObject_HEAD PyObject* make; /* (tuple of the key) -> Kernel */
  Entry* entries;               /* the last one made comes first; none is removed before the Site goes */
  int8_t batch;                 /* where each dimension stands in q and k; -1: there is none */
  int8_t token;
  int8_t head;
  int8_t lane;
  int8_t ndim;
  bool in_place;
  bool axes;      /* ids have a dimension of axes in front */
  bool gathered;  /* a table has a row for each token, rather than one for each position */
  bool grouped;   /* q's tensors have groups of heads, as many as k has heads, in front of the heads of a group */
  int32_t tables; /* 0, 1 or 2 tensors */
  PositionKind positions;
  int64_t ranks; /* that share each sequence (context parallelism); 1: none do */
  int64_t rank;  /* which of them this is */
  /* Of a Prologue, whose tensors are [tokens, heads, lanes] or [tokens, heads * lanes], whose caches have pages, and
   * whose rows are slots. */
  bool paged;
  int32_t brings[OPERANDS]; /* BRINGS_...: what each operand's stages read and write beside it */
  int64_t lanes[OPERANDS];  /* of a head, as the spec has them; 0: as the cache has them */
} Site;

/* What calls of a Prologue bring for an operand, and in which shape. Python has these bits, too (_stages.py). */
enum {
  BRINGS_WEIGHT = 1,
  BRINGS_STATISTIC = 2,
  BRINGS_STATISTIC_OUT = 4,
  BRINGS_NORM_BIAS = 8,
  BRINGS_BIAS = 16,
  BRINGS_HEAD_SCALES = 32,
  WEIGHT_OF_HEADS = 64,    /* weights and the norm's biases are of each head, else one list for all */
  STATISTIC_OF_TOKEN = 128 /* a token has one, else each head */
};

typedef struct CallOperand {
  PyObject* in;                /* NULL: the call has no such operand */
  PyObject* out;               /* NULL: as the site has it, over `in` or into a new tensor */
  PyObject* rows;              /* of the cache that `out` is, or its pages of each request (`by_table`); NULL: none */
  PyObject* first_entries;     /* by a table of page lists; NULL: by a rectangular one */
  PyObject* last_page_lengths; /* NULL: last pages are full */
  PyObject* beside;    /* of k, what it is written to beside the cache that `out` is: in place `in`; NULL: nothing */
  PyObject* weight;    /* of its norm; NULL: none; so below */
  PyObject* statistic; /* of its norm, where that is given */
  PyObject* statistic_out; /* where its norm's statistic is written */
  PyObject* norm_bias;
  PyObject* bias;
  PyObject* head_scales;
  bool by_table;
} CallOperand;

typedef struct Call {
  CallOperand operand[OPERANDS];
  PyObject* positions; /* NULL: none; so below */
  PyObject* cos;
  PyObject* sin;
  PyObject* cu_seqlens;
  PyObject* token_requests; /* of page tables */
  PyObject* token_places;
  int64_t start;
  bool stores; /* nothing is allocated: what is not in place has an output */
  bool forced; /* grad and modes were looked at already */
  bool last;   /* failures are raised: there is no other way left */
} Call;

/* A tuple of what q and k became, None for a k that is not there; Py_None where this is no case for the short path, and
 * nothing was done; NULL and an exception. */
PyObject* rotate(Site* site, const Call* call);
