/* One rotation of torch tensors: is it a plain case, which kernel, allocate, launch. */
#include <stdlib.h>
#include <string.h>

#include "site.h"

/* The sizes and tensors of one call. */
typedef struct Sizes {
  int64_t batch;
  int64_t tokens;
  View q, k, positions, cos, sin, cu_seqlens;
} Sizes;

/* 1: yes; 0: no; -1: an exception. */
static int is_true(PyObject* function) {
  PyObject* const result = PyObject_CallNoArgs(function);
  if (result == NULL) return -1;
  const int truth = PyObject_IsTrue(result);
  Py_DECREF(result);
  return truth;
}

/* What has no such attribute is no tensor, which the long way will say. */
static int requires_grad(PyObject* tensor) {
  if (tensor == NULL) return 0;
  PyObject* const value = PyObject_GetAttr(tensor, torch.requires_grad_name);
  if (value == NULL) {
    PyErr_Clear();
    return 1;
  }
  const int truth = PyObject_IsTrue(value);
  Py_DECREF(value);
  return truth;
}

/* Whether tensors may have forward-mode tangents: while a level of dual numbers is open. */
static int has_tangents(void) {
  PyObject* const level = PyDict_GetItem(torch.forward_ad, torch.level_name); /* borrowed */
  const long number = level == NULL ? 0 : PyLong_AsLong(level);
  if (number == -1 && PyErr_Occurred()) return -1;
  return number >= 0;
}

/* Whether torch has to see this call: for gradients, tangents, modes and traces. */
static int torch_is_watching(const Call* call) {
  const int tangents = has_tangents();
  if (tangents != 0) return tangents;
  const Py_ssize_t probes = PyTuple_Size(torch.probes);
  for (Py_ssize_t i = 0; i < probes; ++i) {
    const int watching = is_true(PyTuple_GetItem(torch.probes, i));
    if (watching != 0) return watching;
  }
  const int enabled = is_true(torch.is_grad_enabled);
  if (enabled <= 0) return enabled;
  PyObject* const inputs[] = {call->q, call->k, call->cos, call->sin};
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; ++i) {
    const int needed = requires_grad(inputs[i]);
    if (needed != 0) return needed;
  }
  return 0;
}

/* Whether q may be launched on as things stand: its device is served, and torch's current one. */
static int device_is_ready(const View* q) {
  if (q->device_type == EXCHANGE_CPU) return torch.host_allowed;
  if (q->device_type != EXCHANGE_CUDA) return 0;
  if (torch.current_device == NULL) return 1;
  PyObject* const current = PyObject_CallNoArgs(torch.current_device);
  if (current == NULL) return -1;
  const long number = PyLong_AsLong(current);
  Py_DECREF(current);
  if (number == -1 && PyErr_Occurred()) return -1;
  return number == q->device_id;
}

static bool same_device(const View* a, const View* b) {
  return a->device_type == b->device_type && a->device_id == b->device_id;
}

static int64_t size_at(const View* view, int8_t place) { return place < 0 ? 1 : view->shape[place]; }

static bool is_float(int32_t dtype) { return dtype == DTYPE_BF16 || dtype == DTYPE_FP16 || dtype == DTYPE_FP32; }

/* cos and sin: [rows, width], or [batch, rows, width] with a batch of 1 for all. A complex table is one tensor. */
static bool read_tables(const Site* site, const Call* call, Sizes* sizes) {
  if (site->tables == 0) return call->cos == NULL && call->sin == NULL;
  const View* const cos = &sizes->cos;
  if (call->cos == NULL || (site->tables == 2) != (call->sin != NULL)) return false;
  if (!view_tensor(call->cos, &sizes->cos) || !same_device(cos, &sizes->q)) return false;
  if (!is_float(cos->dtype) && cos->dtype != DTYPE_COMPLEX64) return false;
  if (cos->ndim != 2 && cos->ndim != 3) return false;
  if (cos->strides[cos->ndim - 1] != 1 && cos->shape[cos->ndim - 1] != 1) return false;
  if (cos->ndim == 3 && cos->shape[0] != 1 && cos->shape[0] != sizes->batch) return false;
  const int64_t rows = cos->shape[cos->ndim - 2];
  if (site->gathered) {
    if (rows != sizes->tokens) return false;
  } else if (site->positions == AT_START) {
    /* Of a sequence that several ranks share, all tokens have a row. */
    if (sizes->tokens > rows / site->ranks) return false;
    if (call->start < 0 || call->start > rows - sizes->tokens * site->ranks) return false;
  }
  if (site->tables == 1) return true;
  const View* const sin = &sizes->sin;
  if (!view_tensor(call->sin, &sizes->sin) || !same_device(sin, &sizes->q)) return false;
  if (sin->dtype != cos->dtype || sin->ndim != cos->ndim) return false;
  for (int32_t i = 0; i < cos->ndim; ++i) {
    if (sin->shape[i] != cos->shape[i]) return false;
    if (sin->strides[i] != cos->strides[i] && cos->shape[i] != 1) return false;
  }
  return true;
}

/* ids: [tokens] or [batch, tokens], with axes in front where there are any; offsets: [batch]; ragged: cu_seqlens and,
 * if any, an int32 offset for each sequence. */
static bool read_positions(const Site* site, const Call* call, Sizes* sizes) {
  if ((site->positions == AT_RAGGED) != (call->cu_seqlens != NULL)) return false;
  const View* const positions = &sizes->positions;
  if (site->positions == AT_RAGGED) {
    const View* const ends = &sizes->cu_seqlens;
    if (!view_tensor(call->cu_seqlens, &sizes->cu_seqlens) || !same_device(ends, &sizes->q)) return false;
    if (ends->dtype != DTYPE_INT32 || ends->ndim != 1 || ends->shape[0] < 2 || ends->strides[0] != 1) return false;
    if (sizes->batch != 1) return false;
    if (call->positions == NULL) return true;
    return view_tensor(call->positions, &sizes->positions) && same_device(positions, &sizes->q) &&
           positions->dtype == DTYPE_INT32 && positions->ndim == 1 && positions->shape[0] == ends->shape[0] - 1 &&
           (positions->strides[0] == 1 || positions->shape[0] == 1);
  }
  if (site->positions == AT_START) return call->positions == NULL;
  if (call->positions == NULL || !view_tensor(call->positions, &sizes->positions)) return false;
  if (!same_device(positions, &sizes->q)) return false;
  if (positions->dtype != DTYPE_INT32 && positions->dtype != DTYPE_INT64) return false;
  if (site->positions == AT_OFFSETS) return positions->ndim == 1 && positions->shape[0] == sizes->batch;
  const int32_t axes = site->axes ? 1 : 0;
  if (positions->ndim != axes + 1 && positions->ndim != axes + 2) return false;
  if (positions->shape[positions->ndim - 1] != sizes->tokens) return false;
  return positions->ndim == axes + 1 || positions->shape[axes] == 1 || positions->shape[axes] == sizes->batch;
}

static bool read_sizes(const Site* site, const Call* call, Sizes* sizes) {
  const View* const q = &sizes->q;
  if (!is_float(q->dtype) || q->ndim != site->ndim) return false;
  sizes->batch = size_at(q, site->batch);
  sizes->tokens = size_at(q, site->token);
  if (call->k != NULL) {
    const View* const k = &sizes->k;
    if (!view_tensor(call->k, &sizes->k) || !same_device(k, q)) return false;
    if (k->ndim != q->ndim || k->dtype != q->dtype) return false;
    if (size_at(k, site->batch) != sizes->batch || size_at(k, site->token) != sizes->tokens) return false;
  }
  return read_tables(site, call, sizes) && read_positions(site, call, sizes);
}

/* The launch's view of q or k. A dimension of size 1 has the stride that a gapless tensor has there, whatever torch
 * says. */
static ropejit_tensor tensor_of(const Site* site, const View* view) {
  ropejit_tensor tensor;
  const int64_t lanes = view->shape[site->lane];
  const int64_t heads = size_at(view, site->head);
  const int64_t tokens = view->shape[site->token];
  tensor.data = view->data;
  tensor.lane_stride = lanes == 1 ? 1 : view->strides[site->lane];
  tensor.head_stride = heads == 1 ? lanes : view->strides[site->head];
  tensor.token_stride = tokens == 1 ? heads * lanes : view->strides[site->token];
  tensor.batch_stride = size_at(view, site->batch) == 1 ? tokens * heads * lanes : view->strides[site->batch];
  return tensor;
}

static bool is_gapless(const Site* site, const View* view) {
  const ropejit_tensor tensor = tensor_of(site, view);
  const int64_t lanes = view->shape[site->lane];
  const int64_t heads = size_at(view, site->head);
  return tensor.lane_stride == 1 && tensor.head_stride == lanes && tensor.token_stride == heads * lanes &&
         tensor.batch_stride == view->shape[site->token] * heads * lanes && (uintptr_t)view->data % 16 == 0;
}

static void fill_key(const Site* site, const Call* call, const Sizes* sizes, int64_t* key) {
  const bool has_k = call->k != NULL;
  key[KEY_DEVICE_TYPE] = sizes->q.device_type;
  key[KEY_DEVICE] = sizes->q.device_id;
  key[KEY_DTYPE] = sizes->q.dtype;
  key[KEY_Q_HEADS] = size_at(&sizes->q, site->head);
  key[KEY_Q_DIM] = sizes->q.shape[site->lane];
  key[KEY_K_HEADS] = has_k ? size_at(&sizes->k, site->head) : 0;
  key[KEY_K_DIM] = has_k ? sizes->k.shape[site->lane] : 0;
  key[KEY_TABLE_DTYPE] = site->tables == 0 ? DTYPE_OTHER : sizes->cos.dtype;
  key[KEY_TABLE_WIDTH] = site->tables == 0 ? 0 : sizes->cos.shape[sizes->cos.ndim - 1];
  key[KEY_POSITIONS_DTYPE] =
      site->positions == AT_IDS || site->positions == AT_OFFSETS ? sizes->positions.dtype : DTYPE_OTHER;
  key[KEY_CONTIGUOUS] = is_gapless(site, &sizes->q) && (!has_k || is_gapless(site, &sizes->k));
}

/* Borrowed from the site. */
static PyObject* kernel_for(Site* site, const int64_t* key) {
  for (const Entry* entry = site->entries; entry != NULL; entry = entry->next) {
    if (memcmp(entry->key, key, sizeof entry->key) == 0) return entry->kernel;
  }
  PyObject* const tuple = PyTuple_New(KEY_LENGTH);
  if (tuple == NULL) return NULL;
  for (Py_ssize_t i = 0; i < KEY_LENGTH; ++i) {
    PyObject* const number = PyLong_FromLongLong(key[i]);
    if (number == NULL || PyTuple_SetItem(tuple, i, number) != 0) {
      Py_DECREF(tuple);
      return NULL;
    }
  }
  /* May compile, and let other threads run: one of them may add the same entry, which does no harm. */
  PyObject* const kernel = PyObject_CallFunctionObjArgs(site->make, tuple, NULL);
  Py_DECREF(tuple);
  if (kernel == NULL || kernel_of(kernel) == NULL) {
    Py_XDECREF(kernel);
    return NULL;
  }
  Entry* const entry = malloc(sizeof *entry);
  if (entry == NULL) {
    Py_DECREF(kernel);
    return PyErr_NoMemory();
  }
  memcpy(entry->key, key, sizeof entry->key);
  entry->kernel = kernel;
  entry->next = site->entries;
  site->entries = entry;
  return kernel;
}

/* Whether the elements fill one piece of memory, each once: then empty_like keeps the strides. */
static bool is_dense(const View* view) {
  int64_t filled = 1;
  for (int32_t left = view->ndim; left > 0;) {
    int32_t next = -1;
    int32_t remaining = 0;
    for (int32_t i = 0; i < view->ndim; ++i) {
      if (view->shape[i] == 0) return false;
      if (view->shape[i] == 1 || view->strides[i] < filled) continue;
      ++remaining;
      if (view->strides[i] == filled) next = i;
    }
    if (remaining == 0) break;
    if (next < 0) return false;
    filled *= view->shape[next];
    left = remaining - 1;
  }
  int64_t elements = 1;
  for (int32_t i = 0; i < view->ndim; ++i) elements *= view->shape[i];
  return elements == filled;
}

static PyObject* tuple_of(const int64_t* numbers, int32_t count) {
  PyObject* const tuple = PyTuple_New(count);
  for (int32_t i = 0; tuple != NULL && i < count; ++i) {
    PyObject* const number = PyLong_FromLongLong(numbers[i]);
    if (number == NULL || PyTuple_SetItem(tuple, i, number) != 0) {
      Py_DECREF(tuple);
      return NULL;
    }
  }
  return tuple;
}

/* Past torch's dispatcher, which takes longer than the allocator. The current device is the tensor's. */
static PyObject* allocate_strided(const View* view, PyObject* dtype) {
  PyObject* const shape = tuple_of(view->shape, view->ndim);
  PyObject* const strides = tuple_of(view->strides, view->ndim);
  PyObject* const made = shape == NULL || strides == NULL
                             ? NULL
                             : PyObject_CallFunctionObjArgs(torch.empty_strided_cuda, shape, strides, dtype, NULL);
  Py_XDECREF(shape);
  Py_XDECREF(strides);
  return made;
}

static PyObject* allocate_like(PyObject* tensor, const View* view, PyObject* dtype) {
  if (torch.empty_strided_cuda != NULL && view->device_type == EXCHANGE_CUDA && is_dense(view)) {
    PyObject* const wanted = dtype != NULL ? dtype : torch.dtype_objects[view->dtype];
    if (wanted != NULL) return allocate_strided(view, wanted);
  }
  if (dtype == NULL) return PyObject_CallFunctionObjArgs(torch.empty_like, tensor, NULL);
  PyObject* const arguments = PyTuple_Pack(1, tensor);
  PyObject* const keywords = Py_BuildValue("{sO}", "dtype", dtype);
  PyObject* const made =
      arguments == NULL || keywords == NULL ? NULL : PyObject_Call(torch.empty_like, arguments, keywords);
  Py_XDECREF(arguments);
  Py_XDECREF(keywords);
  return made;
}

static void fill_positions(const Site* site, const Call* call, const Sizes* sizes, ropejit_args* args) {
  const View* const positions = &sizes->positions;
  const int wide = positions->dtype == DTYPE_INT64;
  switch (site->positions) {
    case AT_START:
      args->position_source = ROPEJIT_POSITIONS_START;
      args->first_position = site->gathered ? 0 : call->start;
      break;
    case AT_IDS: {
      const int32_t batch = positions->ndim - 2;
      args->position_source = wide ? ROPEJIT_POSITIONS_IDS64 : ROPEJIT_POSITIONS_IDS32;
      args->position_ids = positions->data;
      args->position_token_stride = positions->strides[positions->ndim - 1];
      const bool shared = batch < (site->axes ? 1 : 0) || positions->shape[batch] == 1;
      args->position_batch_stride = shared ? 0 : positions->strides[batch];
      if (site->axes) args->position_axis_stride = positions->strides[0];
      break;
    }
    case AT_OFFSETS:
      args->position_source = wide ? ROPEJIT_POSITIONS_OFFSETS64 : ROPEJIT_POSITIONS_OFFSETS32;
      args->position_ids = positions->data;
      args->position_batch_stride = positions->strides[0];
      break;
    case AT_RAGGED:
      args->position_source = ROPEJIT_POSITIONS_RAGGED;
      args->cu_seqlens = sizes->cu_seqlens.data;
      args->sequences = sizes->cu_seqlens.shape[0] - 1;
      args->position_ids = call->positions == NULL ? NULL : positions->data;
      break;
  }
}

static void fill_table(const Site* site, const Sizes* sizes, ropejit_args* args) {
  if (site->tables == 0) return;
  const View* const cos = &sizes->cos;
  const int64_t numbers = cos->dtype == DTYPE_COMPLEX64 ? 2 : 1; /* strides count complex elements */
  args->table_cos = cos->data;
  args->table_sin = site->tables == 2 ? sizes->sin.data : NULL;
  args->table_rows = cos->shape[cos->ndim - 2];
  args->table_row_stride = (args->table_rows == 1 ? cos->shape[cos->ndim - 1] : cos->strides[cos->ndim - 2]) * numbers;
  args->table_batch_stride = cos->ndim == 3 && cos->shape[0] != 1 ? cos->strides[0] * numbers : 0;
}

/* Borrowed (in place) or new references, by what the site does. */
typedef struct Outputs {
  PyObject* q;
  PyObject* k;
} Outputs;

static void drop(const Site* site, const Outputs* outputs) {
  if (site->in_place) return;
  Py_XDECREF(outputs->q);
  Py_XDECREF(outputs->k);
}

/* False: an exception, and nothing is held. */
static bool make_outputs(const Site* site, const Call* call, const Sizes* sizes, PyObject* dtype, Outputs* outputs,
                         ropejit_args* args) {
  outputs->q = call->q;
  outputs->k = call->k;
  if (site->in_place) return true;
  outputs->q = allocate_like(call->q, &sizes->q, dtype);
  outputs->k = outputs->q == NULL || call->k == NULL ? NULL : allocate_like(call->k, &sizes->k, dtype);
  View view;
  if (outputs->q != NULL && (call->k == NULL || outputs->k != NULL) && view_memory(outputs->q, &view)) {
    args->q_out = tensor_of(site, &view);
    if (call->k == NULL) return true;
    if (view_memory(outputs->k, &view)) {
      args->k_out = tensor_of(site, &view);
      return true;
    }
  }
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "torch.empty_like gave what cannot be read");
  drop(site, outputs);
  return false;
}

/* So that autograd sees that what it may have saved was written to. */
static bool tell_versions(const Outputs* outputs) {
  PyObject* const tensors = outputs->k == NULL ? PyTuple_Pack(1, outputs->q) : PyTuple_Pack(2, outputs->q, outputs->k);
  PyObject* const done = tensors == NULL ? NULL : PyObject_CallFunctionObjArgs(torch.increment_version, tensors, NULL);
  Py_XDECREF(tensors);
  Py_XDECREF(done);
  return done != NULL;
}

static PyObject* not_here(void) { Py_RETURN_NONE; }

PyObject* rotate(Site* site, const Call* call) {
  if (torch.tensor_type == NULL) return PyErr_Format(PyExc_RuntimeError, "setup() has not been called");
  Sizes sizes;
  if (!view_tensor(call->q, &sizes.q)) return not_here();
  if (!call->forced) {
    const int watching = torch_is_watching(call);
    if (watching != 0) return watching < 0 ? NULL : not_here();
  }
  const int ready = device_is_ready(&sizes.q);
  if (ready <= 0) return ready < 0 ? NULL : not_here();
  if (!read_sizes(site, call, &sizes)) return not_here();

  int64_t key[KEY_LENGTH];
  fill_key(site, call, &sizes, key);
  PyObject* const kernel = kernel_for(site, key);
  if (kernel == NULL) return NULL;

  ropejit_args args = ropejit_args_default();
  args.q = tensor_of(site, &sizes.q);
  if (call->k != NULL) args.k = tensor_of(site, &sizes.k);
  args.batch = sizes.batch;
  args.tokens = sizes.tokens;
  args.ranks = site->ranks;
  args.rank = site->rank;
  fill_positions(site, call, &sizes, &args);
  fill_table(site, &sizes, &args);
  Outputs outputs;
  if (!make_outputs(site, call, &sizes, output_dtype_of(kernel), &outputs, &args)) return NULL;

  if (sizes.batch > 0 && sizes.tokens > 0) {
    void* stream = NULL;
    if (!current_stream(&sizes.q, &stream)) {
      drop(site, &outputs);
      return NULL;
    }
    const ropejit_status status = ropejit_launch(kernel_of(kernel), &args, stream);
    if (status != ROPEJIT_OK) {
      drop(site, &outputs);
      /* A thread that has not used CUDA yet has no context: the long way sees to that, and tries again. */
      if (status == ROPEJIT_INVALID_ARGUMENT || call->last) return raise_status(status);
      return not_here();
    }
    if (site->in_place && !tell_versions(&outputs)) return NULL;
  }
  if (site->in_place) {
    Py_INCREF(outputs.q);
    Py_XINCREF(outputs.k);
  }
  PyObject* const result = PyTuple_Pack(2, outputs.q, outputs.k == NULL ? Py_None : outputs.k);
  Py_DECREF(outputs.q);
  Py_XDECREF(outputs.k);
  return result;
}
