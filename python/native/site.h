/* What a Site keeps, and what one call of it read: shared by site.c (the Python type) and call.c (one rotation). */
#pragma once

#include "native.h"

/* What decides which kernel serves a call. Python is given these numbers in this order (_sites.py). */
enum {
  KEY_DEVICE_TYPE,
  KEY_DEVICE,
  KEY_DTYPE,
  KEY_Q_HEADS,
  KEY_Q_DIM,
  KEY_K_HEADS, /* 0: without k */
  KEY_K_DIM,
  KEY_TABLE_DTYPE, /* DTYPE_OTHER: without a table */
  KEY_TABLE_WIDTH, /* numbers a row, as the tensor has them */
  KEY_POSITIONS_DTYPE,
  KEY_CONTIGUOUS,
  KEY_LENGTH
};

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
  int32_t tables; /* 0, 1 or 2 tensors */
  PositionKind positions;
  int64_t ranks; /* that share each sequence (context parallelism); 1: none do */
  int64_t rank;  /* which of them this is */
} Site;

typedef struct Call {
  PyObject* q;
  PyObject* k; /* NULL: none; so below */
  PyObject* positions;
  PyObject* cos;
  PyObject* sin;
  PyObject* cu_seqlens;
  int64_t start;
  bool forced; /* grad and modes were looked at already */
  bool last;   /* failures are raised: there is no other way left */
} Call;

/* A tuple (q, k or None) of what was rotated; None where this is no case for the short path, and nothing was done; NULL
 * and an exception. */
PyObject* rotate(Site* site, const Call* call);
