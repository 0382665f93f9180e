/* One rotation of torch tensors: is it a plain case, which kernel, allocate, launch. */
#include <stdlib.h>
#include <string.h>

#include "site.h"

/* The sizes and tensors of one call. */
typedef struct Sizes {
  int64_t batch;
  int64_t tokens;
  View in[OPERANDS];
  View out[OPERANDS];  /* in place: as `in` */
  View rows[OPERANDS]; /* where the call has rows; so below */
  View first_entries[OPERANDS];
  View last_page_lengths[OPERANDS];
  View beside[OPERANDS]; /* in place as `in` */
  View weight[OPERANDS];
  View statistic[OPERANDS];
  View statistic_out[OPERANDS];
  View norm_bias[OPERANDS];
  View bias[OPERANDS];
  View head_scales[OPERANDS];
  View positions, cos, sin, cu_seqlens, token_requests, token_places;
  int64_t groups;           /* of q's heads, where they lie in groups; so below */
  int64_t group_stride;     /* of q's input, as ropejit.h has it */
  int64_t out_group_stride; /* of its output */
} Sizes;

static const View* first_of(const Sizes* sizes) { return &sizes->in[ROPEJIT_Q]; }

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
  for (int i = 0; i < OPERANDS; ++i) {
    const CallOperand* const operand = &call->operand[i];
    PyObject* const tensors[] = {operand->in,        operand->out,       operand->beside,
                                 operand->weight,    operand->statistic, operand->statistic_out,
                                 operand->norm_bias, operand->bias,      operand->head_scales};
    for (size_t j = 0; j < sizeof tensors / sizeof *tensors; ++j) {
      const int needed = requires_grad(tensors[j]);
      if (needed != 0) return needed;
    }
  }
  const int needed = requires_grad(call->cos);
  return needed != 0 ? needed : requires_grad(call->sin);
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
  if (!view_tensor(call->cos, &sizes->cos) || !same_device(cos, first_of(sizes))) return false;
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
  if (!view_tensor(call->sin, &sizes->sin) || !same_device(sin, first_of(sizes))) return false;
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
    if (!view_tensor(call->cu_seqlens, &sizes->cu_seqlens) || !same_device(ends, first_of(sizes))) return false;
    if (ends->dtype != DTYPE_INT32 || ends->ndim != 1 || ends->shape[0] < 2 || ends->strides[0] != 1) return false;
    if (sizes->batch != 1) return false;
    if (call->positions == NULL) return true;
    return view_tensor(call->positions, &sizes->positions) && same_device(positions, first_of(sizes)) &&
           positions->dtype == DTYPE_INT32 && positions->ndim == 1 && positions->shape[0] == ends->shape[0] - 1 &&
           (positions->strides[0] == 1 || positions->shape[0] == 1);
  }
  if (site->positions == AT_START) return call->positions == NULL;
  if (call->positions == NULL || !view_tensor(call->positions, &sizes->positions)) return false;
  if (!same_device(positions, first_of(sizes))) return false;
  if (positions->dtype != DTYPE_INT32 && positions->dtype != DTYPE_INT64) return false;
  if (site->positions == AT_OFFSETS) return positions->ndim == 1 && positions->shape[0] == sizes->batch;
  const int32_t axes = site->axes ? 1 : 0;
  if (positions->ndim != axes + 1 && positions->ndim != axes + 2) return false;
  if (positions->shape[positions->ndim - 1] != sizes->tokens) return false;
  return positions->ndim == axes + 1 || positions->shape[axes] == 1 || positions->shape[axes] == sizes->batch;
}

/* Slots of the first tokens, as far as there are any, at any distance but 0, which ropejit.h does not have. */
static bool read_slots(const Call* call, Sizes* sizes, int i) {
  View* const slots = &sizes->rows[i];
  if (!view_tensor(call->operand[i].rows, slots) || !same_device(slots, first_of(sizes))) return false;
  return (slots->dtype == DTYPE_INT32 || slots->dtype == DTYPE_INT64) && slots->ndim == 1 &&
         slots->shape[0] <= sizes->tokens && (slots->shape[0] <= 1 || slots->strides[0] > 0);
}

/* A cache of [pages, tokens of a page, heads, lanes]. */
static bool is_paged_cache(const View* cache, int64_t heads, int64_t lanes) {
  return cache->ndim == 4 && cache->shape[0] > 0 && cache->shape[1] > 0 && cache->shape[2] == heads &&
         cache->shape[3] == lanes && (lanes == 1 || cache->strides[3] > 0);
}

static int64_t bytes_of(int32_t dtype) { return dtype == DTYPE_FP32 ? 4 : 2; }

/* A cache of [pages, heads, groups of lanes, tokens of a page, lanes of a group], whose groups have 16 bytes. */
static bool is_split_cache(const View* cache, int64_t heads, int64_t lanes) {
  return cache->ndim == 5 && cache->shape[0] > 0 && cache->shape[3] > 0 && cache->shape[1] == heads &&
         cache->shape[2] * cache->shape[4] == lanes && cache->shape[4] * bytes_of(cache->dtype) == 16 &&
         cache->strides[4] == 1;
}

/* How many numbers lie side by side without gaps; -1: some do not. */
static int64_t count_gapless(const View* view) {
  int64_t count = 1;
  for (int32_t d = view->ndim - 1; d >= 0; --d) {
    if (view->shape[d] != 1 && view->strides[d] != count) return -1;
    count *= view->shape[d];
  }
  return count;
}

/* A list of numbers side by side. */
static bool read_list(PyObject* tensor, View* view, const View* q) {
  return view_tensor(tensor, view) && same_device(view, q) && view->ndim == 1 &&
         (view->shape[0] <= 1 || view->strides[0] == 1);
}

/* The pages of each request: [entries], with a list of where requests begin, or [requests, entries]. */
static bool read_pages(const Call* call, Sizes* sizes, int i) {
  const CallOperand* const given = &call->operand[i];
  const View* const q = first_of(sizes);
  View* const pages = &sizes->rows[i];
  if (given->first_entries == NULL) {
    if (given->last_page_lengths != NULL || !view_tensor(given->rows, pages) || !same_device(pages, q)) return false;
    if (pages->dtype != DTYPE_INT32 || pages->ndim != 2 || pages->shape[0] == 0 || pages->shape[1] == 0) return false;
    return (pages->shape[1] == 1 || pages->strides[1] == 1) &&
           (pages->shape[0] == 1 || pages->strides[0] >= pages->shape[1]);
  }
  View* const first = &sizes->first_entries[i];
  if (!read_list(given->rows, pages, q) || pages->dtype != DTYPE_INT32 || pages->shape[0] == 0) return false;
  if (!read_list(given->first_entries, first, q) || first->dtype != DTYPE_INT32 || first->shape[0] < 2) return false;
  if (given->last_page_lengths == NULL) return true;
  View* const last = &sizes->last_page_lengths[i];
  return read_list(given->last_page_lengths, last, q) && last->dtype == DTYPE_INT32 &&
         last->shape[0] == first->shape[0] - 1;
}

/* The request of each token and its place there, each where the call has it. */
static bool read_tokens(const Call* call, Sizes* sizes) {
  const View* const q = first_of(sizes);
  const int64_t tokens = sizes->batch * sizes->tokens;
  const View* const requests = &sizes->token_requests;
  const View* const places = &sizes->token_places;
  if (call->token_requests != NULL && (!read_list(call->token_requests, &sizes->token_requests, q) ||
                                       requests->dtype != DTYPE_INT32 || requests->shape[0] != tokens)) {
    return false;
  }
  if (call->token_places == NULL) return true;
  return read_list(call->token_places, &sizes->token_places, q) && places->shape[0] == tokens &&
         (places->dtype == DTYPE_INT32 || places->dtype == DTYPE_INT64);
}

/* A number for each lane, of one head for all or of all heads: [lanes], or [heads, lanes], or [heads * lanes]. */
static bool read_lanes(PyObject* tensor, View* view, const View* q, bool of_heads, int64_t heads, int64_t lanes) {
  if (!view_tensor(tensor, view) || !same_device(view, q) || !is_float(view->dtype)) return false;
  if (!of_heads) return view->ndim == 1 && view->shape[0] == lanes && count_gapless(view) == lanes;
  if (view->ndim == 2 ? view->shape[0] != heads || view->shape[1] != lanes : view->ndim != 1) return false;
  return count_gapless(view) == heads * lanes;
}

/* A norm's statistic: fp32, [tokens, heads] or [tokens, 1], at any distances but 0, which ropejit.h does not have. */
static bool read_statistic(PyObject* tensor, View* view, const View* q, int64_t tokens, int64_t statistics) {
  return view_tensor(tensor, view) && same_device(view, q) && view->dtype == DTYPE_FP32 && view->ndim == 2 &&
         view->shape[0] == tokens && view->shape[1] == statistics && (tokens <= 1 || view->strides[0] != 0) &&
         (statistics <= 1 || view->strides[1] != 0);
}

/* What the stages of an operand read, and where its norm's statistic is written: each where the spec has it, and only
 * there. */
static bool read_stages(const Site* site, const Call* call, Sizes* sizes, int i) {
  const CallOperand* const given = &call->operand[i];
  const int32_t brought =
      (given->weight != NULL ? BRINGS_WEIGHT : 0) | (given->statistic != NULL ? BRINGS_STATISTIC : 0) |
      (given->statistic_out != NULL ? BRINGS_STATISTIC_OUT : 0) | (given->norm_bias != NULL ? BRINGS_NORM_BIAS : 0) |
      (given->bias != NULL ? BRINGS_BIAS : 0) | (given->head_scales != NULL ? BRINGS_HEAD_SCALES : 0);
  const int32_t all =
      BRINGS_WEIGHT | BRINGS_STATISTIC | BRINGS_STATISTIC_OUT | BRINGS_NORM_BIAS | BRINGS_BIAS | BRINGS_HEAD_SCALES;
  if (brought != (site->brings[i] & all)) return false;
  if (brought == 0) return true;
  const View* const q = first_of(sizes);
  const int64_t heads = size_at(&sizes->in[i], site->head);
  const int64_t lanes = sizes->in[i].shape[site->lane];
  const bool of_heads = (site->brings[i] & WEIGHT_OF_HEADS) != 0;
  const int64_t statistics = (site->brings[i] & STATISTIC_OF_TOKEN) != 0 ? 1 : heads;
  if (given->weight != NULL && !read_lanes(given->weight, &sizes->weight[i], q, of_heads, heads, lanes)) return false;
  if (given->norm_bias != NULL && (!read_lanes(given->norm_bias, &sizes->norm_bias[i], q, of_heads, heads, lanes) ||
                                   sizes->norm_bias[i].dtype != sizes->weight[i].dtype)) {
    return false;
  }
  if (given->bias != NULL &&
      (!read_lanes(given->bias, &sizes->bias[i], q, true, heads, lanes) || sizes->bias[i].dtype != q->dtype)) {
    return false;
  }
  if (given->head_scales != NULL && (!read_lanes(given->head_scales, &sizes->head_scales[i], q, false, heads, heads) ||
                                     sizes->head_scales[i].dtype != DTYPE_FP32)) {
    return false;
  }
  if (given->statistic != NULL &&
      !read_statistic(given->statistic, &sizes->statistic[i], q, sizes->tokens, statistics)) {
    return false;
  }
  return given->statistic_out == NULL ||
         read_statistic(given->statistic_out, &sizes->statistic_out[i], q, sizes->tokens, statistics);
}

/* The rows of a cache: as many numbers as there are tokens, side by side. */
static bool read_rows(const Call* call, Sizes* sizes, int i) {
  View* const rows = &sizes->rows[i];
  if (!view_tensor(call->operand[i].rows, rows) || !same_device(rows, first_of(sizes))) return false;
  if (rows->dtype != DTYPE_INT32 && rows->dtype != DTYPE_INT64) return false;
  return count_gapless(rows) == sizes->batch * sizes->tokens;
}

/* Lanes of a head of an operand of [tokens, heads * lanes]; 0: nobody says. Those of q are k's, if nobody else says. */
static int64_t lanes_of(const Site* site, const Call* call, int i) {
  if (site->lanes[i] > 0) return site->lanes[i];
  PyObject* const cache = call->operand[i == ROPEJIT_Q ? ROPEJIT_K : i].out;
  View view;
  if (cache == NULL || !view_memory(cache, &view)) return 0;
  return view.ndim == 4 ? view.shape[3] : view.ndim == 5 ? view.shape[2] * view.shape[4] : 0;
}

/* Of a Prologue's tensor of [tokens, heads * lanes] the view [tokens, heads, lanes]. */
static bool split_heads(const Site* site, const Call* call, View* view, int i) {
  if (!site->paged || view->ndim != 2) return true;
  const int64_t lanes = lanes_of(site, call, i);
  if (lanes <= 0 || view->shape[1] % lanes != 0) return false;
  view->ndim = 3;
  view->shape[2] = lanes;
  view->shape[1] /= lanes;
  view->strides[2] = view->strides[1];
  view->strides[1] *= lanes;
  return true;
}

/* Of a view of q whose heads lie in groups the one without the dimension of groups: its heads are those of all groups,
 * as far apart as those of one. */
static bool merge_groups(const Site* site, View* view, int64_t* groups, int64_t* stride) {
  if (!site->grouped) return true;
  if (view->ndim != site->ndim + 1) return false;
  const int32_t place = site->head;
  *groups = view->shape[place];
  *stride = *groups > 1 ? view->strides[place] : 0;
  const int64_t heads = view->shape[place + 1];
  for (int32_t d = place; d < site->ndim; ++d) {
    view->shape[d] = view->shape[d + 1];
    view->strides[d] = view->strides[d + 1];
  }
  view->ndim = site->ndim;
  view->shape[place] = *groups * heads;
  if (heads == 1) view->strides[place] = view->shape[site->lane];
  return true;
}

static bool is_of_shape(const View* view, const View* wanted) {
  if (view->ndim != wanted->ndim) return false;
  for (int32_t d = 0; d < wanted->ndim; ++d) {
    if (view->shape[d] != wanted->shape[d]) return false;
  }
  return true;
}

/* What k, or v, is written to beside a cache of pages: itself in place, else a tensor like it of the cache's dtype. */
static bool read_beside(const Site* site, const Call* call, Sizes* sizes, int i) {
  const CallOperand* const operand = &call->operand[i];
  View* const beside = &sizes->beside[i];
  if (operand->beside == NULL) return true;
  if (i == ROPEJIT_Q || operand->rows == NULL || !site->paged) return false;
  *beside = sizes->in[i];
  if (site->in_place) return operand->beside == operand->in && sizes->out[i].dtype == beside->dtype;
  return view_tensor(operand->beside, beside) && same_device(beside, first_of(sizes)) &&
         beside->dtype == sizes->out[i].dtype && split_heads(site, call, beside, i) &&
         is_of_shape(beside, &sizes->in[i]);
}

/* A tensor of the caller's that is written: of the input's shape, or with rows a cache of [rows, heads, lanes], or with
 * slots one of pages. */
static bool read_output(const Site* site, const Call* call, Sizes* sizes, int i) {
  const View* const in = &sizes->in[i];
  View* const out = &sizes->out[i];
  if (!view_tensor(call->operand[i].out, out) || !same_device(out, in) || !is_float(out->dtype)) return false;
  if (call->operand[i].rows != NULL && site->paged) {
    const int64_t heads = in->shape[site->head], lanes = in->shape[site->lane];
    if (!is_paged_cache(out, heads, lanes) && (i != ROPEJIT_K || !is_split_cache(out, heads, lanes))) return false;
    return call->operand[i].by_table ? read_pages(call, sizes, i) && read_tokens(call, sizes)
                                     : read_slots(call, sizes, i);
  }
  if (call->operand[i].rows != NULL) {
    return !call->operand[i].by_table && out->ndim == 3 && out->shape[0] > 0 &&
           out->shape[1] == size_at(in, site->head) && out->shape[2] == in->shape[site->lane] &&
           read_rows(call, sizes, i);
  }
  if (!split_heads(site, call, out, i)) return false;
  int64_t groups = sizes->groups;
  if (i == ROPEJIT_Q && !merge_groups(site, out, &groups, &sizes->out_group_stride)) return false;
  return groups == sizes->groups && is_of_shape(out, in);
}

static bool read_operand(const Site* site, const Call* call, Sizes* sizes, int i) {
  const View* const q = first_of(sizes);
  View* const in = &sizes->in[i];
  if (i != ROPEJIT_Q) {
    if (!view_tensor(call->operand[i].in, in) || !same_device(in, q) || !split_heads(site, call, in, i)) return false;
    if (in->ndim != q->ndim || in->dtype != q->dtype) return false;
    if (size_at(in, site->batch) != sizes->batch || size_at(in, site->token) != sizes->tokens) return false;
  }
  if (size_at(in, site->head) == 0 || in->shape[site->lane] == 0 || !read_stages(site, call, sizes, i)) return false;
  if (call->operand[i].rows != NULL && i == ROPEJIT_Q) return false;
  if (call->operand[i].out != NULL) return read_output(site, call, sizes, i) && read_beside(site, call, sizes, i);
  if (call->operand[i].beside != NULL) return false;
  sizes->out[i] = *in;
  return call->operand[i].rows == NULL && i != ROPEJIT_V && (site->in_place || !call->stores);
}

static bool read_sizes(const Site* site, const Call* call, Sizes* sizes) {
  const View* const q = first_of(sizes);
  sizes->groups = 0;
  if (site->grouped ? !merge_groups(site, &sizes->in[ROPEJIT_Q], &sizes->groups, &sizes->group_stride)
                    : !split_heads(site, call, &sizes->in[ROPEJIT_Q], ROPEJIT_Q)) {
    return false;
  }
  if (!is_float(q->dtype) || q->ndim != site->ndim) return false;
  sizes->batch = size_at(q, site->batch);
  sizes->tokens = size_at(q, site->token);
  for (int i = 0; i < OPERANDS; ++i) {
    if (call->operand[i].in != NULL && !read_operand(site, call, sizes, i)) return false;
  }
  if (site->grouped &&
      (call->operand[ROPEJIT_K].in == NULL || size_at(&sizes->in[ROPEJIT_K], site->head) != sizes->groups)) {
    return false;
  }
  return read_tables(site, call, sizes) && read_positions(site, call, sizes);
}

/* The launch's view of an operand. A dimension of size 1 has the stride that a gapless tensor has there, whatever torch
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

/* The launch's view of a cache. */
static ropejit_tensor cache_of(const View* view) {
  ropejit_tensor tensor = ropejit_contiguous(view->data);
  if (view->shape[0] != 1) tensor.token_stride = view->strides[0];
  if (view->shape[1] != 1) tensor.head_stride = view->strides[1];
  if (view->shape[2] != 1) tensor.lane_stride = view->strides[2];
  return tensor;
}

/* The launch's view of a cache of pages. */
static ropejit_tensor pages_of(const View* view) {
  ropejit_tensor tensor = ropejit_contiguous(view->data);
  if (view->shape[0] != 1) tensor.batch_stride = view->strides[0];
  if (view->shape[1] != 1) tensor.token_stride = view->strides[1];
  if (view->shape[2] != 1) tensor.head_stride = view->strides[2];
  if (view->shape[3] != 1) tensor.lane_stride = view->strides[3];
  return tensor;
}

static bool is_gapless_cache(const View* view) {
  return (view->shape[2] == 1 || view->strides[2] == 1) &&
         (view->shape[1] == 1 || view->strides[1] == view->shape[2]) &&
         (view->shape[0] == 1 || view->strides[0] == view->shape[1] * view->shape[2]) &&
         (uintptr_t)view->data % 16 == 0;
}

static int64_t rows_kind(const CallOperand* operand, const View* rows) {
  if (!operand->by_table) return rows->dtype;
  return operand->first_entries == NULL ? ROWS_BLOCK_TABLE : ROWS_PAGE_LISTS;
}

static void fill_key(const Site* site, const Call* call, const Sizes* sizes, int64_t* key) {
  const View* const q = first_of(sizes);
  key[KEY_DEVICE_TYPE] = q->device_type;
  key[KEY_DEVICE] = q->device_id;
  key[KEY_DTYPE] = q->dtype;
  key[KEY_TABLE_DTYPE] = site->tables == 0 ? DTYPE_OTHER : sizes->cos.dtype;
  key[KEY_TABLE_WIDTH] = site->tables == 0 ? 0 : sizes->cos.shape[sizes->cos.ndim - 1];
  key[KEY_POSITIONS_DTYPE] =
      site->positions == AT_IDS || site->positions == AT_OFFSETS ? sizes->positions.dtype : DTYPE_OTHER;
  key[KEY_CONTIGUOUS] = !site->grouped;
  key[KEY_TOKEN_REQUESTS] = call->token_requests != NULL;
  key[KEY_TOKEN_PLACES_DTYPE] = call->token_places == NULL ? DTYPE_OTHER : sizes->token_places.dtype;
  for (int i = 0; i < OPERANDS; ++i) {
    const CallOperand* const operand = &call->operand[i];
    int64_t* const own = key + KEY_OPERANDS + i * KEY_OPERAND_LENGTH;
    memset(own, 0, KEY_OPERAND_LENGTH * sizeof *own);
    if (operand->in == NULL) continue;
    own[KEY_OF_HEADS] = size_at(&sizes->in[i], site->head);
    own[KEY_OF_DIM] = sizes->in[i].shape[site->lane];
    key[KEY_CONTIGUOUS] &= is_gapless(site, &sizes->in[i]);
    if (operand->weight != NULL) own[KEY_OF_WEIGHT_DTYPE] = sizes->weight[i].dtype;
    if (operand->out == NULL) continue;
    own[KEY_OF_OUT_DTYPE] = sizes->out[i].dtype;
    own[KEY_OF_BESIDE] = operand->beside != NULL;
    if (operand->beside != NULL) key[KEY_CONTIGUOUS] &= is_gapless(site, &sizes->beside[i]);
    if (operand->rows != NULL) own[KEY_OF_ROWS_DTYPE] = rows_kind(operand, &sizes->rows[i]);
    own[KEY_OF_SPLIT] = operand->rows != NULL && site->paged && sizes->out[i].ndim == 5;
    if (operand->rows != NULL && site->paged) continue; /* no promise is made of pages */
    key[KEY_CONTIGUOUS] &= operand->rows != NULL ? is_gapless_cache(&sizes->out[i]) : is_gapless(site, &sizes->out[i]);
  }
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

/* What each operand is written to. Borrowed where the call or the site has it, else new references, which `made` says.
 */
typedef struct Outputs {
  PyObject* tensor[OPERANDS];
  bool made[OPERANDS];
} Outputs;

static void drop(const Outputs* outputs) {
  for (int i = 0; i < OPERANDS; ++i) {
    if (outputs->made[i]) Py_XDECREF(outputs->tensor[i]);
  }
}

/* False: an exception, and nothing is held. */
static bool make_outputs(const Site* site, const Call* call, Sizes* sizes, PyObject* dtype, Outputs* outputs) {
  memset(outputs, 0, sizeof *outputs);
  for (int i = 0; i < OPERANDS; ++i) {
    const CallOperand* const operand = &call->operand[i];
    outputs->tensor[i] = operand->out != NULL ? operand->out : operand->in;
    if (site->in_place || operand->in == NULL || operand->out != NULL) continue;
    outputs->tensor[i] = allocate_like(operand->in, &sizes->in[i], dtype);
    outputs->made[i] = true;
    if (outputs->tensor[i] != NULL && view_memory(outputs->tensor[i], &sizes->out[i])) continue;
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "torch.empty_like gave what cannot be read");
    drop(outputs);
    return false;
  }
  return true;
}

/* A cache of pages: as tokens, heads and lanes, or with lanes in groups. Strides of dimensions of size 1 are left to
 * the library. */
static void fill_cache(const View* cache, ropejit_operand* operand) {
  const bool split = cache->ndim == 5;
  if (split) {
    operand->out = ropejit_contiguous(cache->data);
    if (cache->shape[0] != 1) operand->out.batch_stride = cache->strides[0];
    if (cache->shape[1] != 1) operand->out.head_stride = cache->strides[1];
    if (cache->shape[2] != 1) operand->split_stride = cache->strides[2];
    if (cache->shape[3] != 1) operand->out.token_stride = cache->strides[3];
  } else {
    operand->out = pages_of(cache);
  }
  operand->block_size = cache->shape[split ? 3 : 1];
  operand->cache_rows = cache->shape[0] * operand->block_size;
}

/* A list of none may have no memory, and is not read: it is somewhere all the same, as a null pointer is no list. */
static void fill_slots(const View* slots, ropejit_operand* operand) {
  static const int64_t nowhere = 0;
  operand->rows = slots->shape[0] > 0 ? slots->data : &nowhere;
  operand->slot_count = slots->shape[0] > 0 ? slots->shape[0] : ROPEJIT_NO_SLOTS;
  if (slots->shape[0] > 1) operand->slot_stride = slots->strides[0];
}

static void fill_table_of_pages(const CallOperand* given, const Sizes* sizes, int i, ropejit_operand* operand) {
  const View* const pages = &sizes->rows[i];
  ropejit_page_table* const table = &operand->page_table;
  table->pages = pages->data;
  if (given->first_entries == NULL) {
    table->requests = pages->shape[0];
    table->entries = pages->shape[1];
    if (pages->shape[0] != 1) table->row_stride = pages->strides[0];
    return;
  }
  table->requests = sizes->first_entries[i].shape[0] - 1;
  table->entries = pages->shape[0];
  table->first_entries = sizes->first_entries[i].data;
  if (given->last_page_lengths != NULL) table->last_page_lengths = sizes->last_page_lengths[i].data;
}

/* The launch's view of a statistic. A stride of 0 is that of a gapless tensor, as a dimension of size 1 has it. */
static ropejit_statistic statistic_of(const View* view) {
  ropejit_statistic statistic = {view->data, 0, 0};
  if (view->shape[0] > 1) statistic.token_stride = view->strides[0];
  if (view->shape[1] > 1) statistic.head_stride = view->strides[1];
  return statistic;
}

static void fill_stages(const CallOperand* given, const Sizes* sizes, int i, ropejit_operand* operand) {
  if (given->weight != NULL) operand->norm_weight = sizes->weight[i].data;
  if (given->statistic != NULL) operand->norm_statistic = statistic_of(&sizes->statistic[i]);
  if (given->statistic_out != NULL) operand->norm_statistic_out = statistic_of(&sizes->statistic_out[i]);
  if (given->norm_bias != NULL) operand->norm_bias = sizes->norm_bias[i].data;
  if (given->bias != NULL) operand->bias = sizes->bias[i].data;
  if (given->head_scales != NULL) operand->head_scales = sizes->head_scales[i].data;
}

/* How many there are. */
static int fill_operands(const Site* site, const Call* call, const Sizes* sizes, ropejit_operand* operands) {
  int count = 0;
  for (int i = 0; i < OPERANDS; ++i) {
    if (call->operand[i].in == NULL) continue;
    ropejit_operand operand = ropejit_operand_of(i, NULL, NULL);
    operand.in = tensor_of(site, &sizes->in[i]);
    fill_stages(&call->operand[i], sizes, i, &operand);
    if (call->operand[i].rows != NULL && site->paged) {
      fill_cache(&sizes->out[i], &operand);
      if (call->operand[i].by_table) {
        fill_table_of_pages(&call->operand[i], sizes, i, &operand);
      } else {
        fill_slots(&sizes->rows[i], &operand);
      }
      const bool apart = call->operand[i].beside != NULL && !site->in_place;
      if (apart) operand.beside = tensor_of(site, &sizes->beside[i]);
    } else if (call->operand[i].rows != NULL) {
      operand.out = cache_of(&sizes->out[i]);
      operand.rows = sizes->rows[i].data;
      operand.cache_rows = sizes->out[i].shape[0];
    } else if (!site->in_place || call->operand[i].out != NULL) {
      operand.out = tensor_of(site, &sizes->out[i]);
    }
    if (site->grouped && i == ROPEJIT_Q) {
      operand.group_stride = sizes->group_stride;
      if (!site->in_place) operand.out_group_stride = sizes->out_group_stride;
    }
    operands[count++] = operand;
  }
  return count;
}

/* So that autograd sees that what it may have saved was written to. */
static bool tell_versions(const Call* call, const Outputs* outputs) {
  PyObject* written[3 * OPERANDS];
  Py_ssize_t count = 0;
  for (int i = 0; i < OPERANDS; ++i) {
    if (outputs->tensor[i] != NULL && !outputs->made[i]) written[count++] = outputs->tensor[i];
    if (call->operand[i].beside != NULL) written[count++] = call->operand[i].beside;
    if (call->operand[i].statistic_out != NULL) written[count++] = call->operand[i].statistic_out;
  }
  if (count == 0) return true;
  PyObject* const tensors = PyTuple_New(count);
  for (Py_ssize_t i = 0; tensors != NULL && i < count; ++i) {
    Py_INCREF(written[i]);
    PyTuple_SetItem(tensors, i, written[i]);
  }
  PyObject* const done = tensors == NULL ? NULL : PyObject_CallFunctionObjArgs(torch.increment_version, tensors, NULL);
  Py_XDECREF(tensors);
  Py_XDECREF(done);
  return done != NULL;
}

static PyObject* not_here(void) { Py_RETURN_NONE; }

PyObject* rotate(Site* site, const Call* call) {
  if (torch.tensor_type == NULL) return PyErr_Format(PyExc_RuntimeError, "setup() has not been called");
  Sizes sizes;
  if (site->grouped && !call->stores) return not_here();
  if (!view_tensor(call->operand[ROPEJIT_Q].in, &sizes.in[ROPEJIT_Q])) return not_here();
  if (!call->forced) {
    const int watching = torch_is_watching(call);
    if (watching != 0) return watching < 0 ? NULL : not_here();
  }
  const int ready = device_is_ready(first_of(&sizes));
  if (ready <= 0) return ready < 0 ? NULL : not_here();
  if (!read_sizes(site, call, &sizes)) return not_here();

  int64_t key[KEY_LENGTH];
  fill_key(site, call, &sizes, key);
  PyObject* const kernel = kernel_for(site, key);
  if (kernel == NULL) return NULL;
  Outputs outputs;
  if (!make_outputs(site, call, &sizes, output_dtype_of(kernel), &outputs)) return NULL;

  if (sizes.batch > 0 && sizes.tokens > 0) {
    ropejit_operand operands[OPERANDS];
    ropejit_args args = ropejit_args_default();
    args.operands = operands;
    args.operand_count = fill_operands(site, call, &sizes, operands);
    args.batch = sizes.batch;
    args.tokens = sizes.tokens;
    args.ranks = site->ranks;
    args.rank = site->rank;
    if (call->token_requests != NULL) args.token_requests = sizes.token_requests.data;
    if (call->token_places != NULL) args.token_places = sizes.token_places.data;
    fill_positions(site, call, &sizes, &args);
    fill_table(site, &sizes, &args);
    void* stream = NULL;
    if (!current_stream(first_of(&sizes), &stream)) {
      drop(&outputs);
      return NULL;
    }
    const ropejit_status status = ropejit_launch(kernel_of(kernel), &args, stream);
    if (status != ROPEJIT_OK) {
      drop(&outputs);
      /* A thread that has not used CUDA yet has no context: the long way sees to that, and tries again. */
      if (status == ROPEJIT_INVALID_ARGUMENT || call->last) return raise_status(status);
      return not_here();
    }
    if (!tell_versions(call, &outputs)) {
      drop(&outputs);
      return NULL;
    }
  }
  PyObject* const q = outputs.tensor[ROPEJIT_Q];
  PyObject* const k = outputs.tensor[ROPEJIT_K];
  PyObject* const result = PyTuple_Pack(2, q, k == NULL ? Py_None : k);
  drop(&outputs);
  return result;
}
