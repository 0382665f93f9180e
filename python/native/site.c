/* The Python type Site: one kind of rotation, with the kernels that calls of it needed so far. */
#include "site.h"

#include <stdlib.h>
#include <string.h>

/* The place of each letter of "bshd" in `order`. False: a letter that is none of them, or twice. */
static bool read_order(Site* site, const char* order) {
  site->batch = site->token = site->head = site->lane = -1;
  const size_t length = strlen(order);
  if (length > 4) return false;
  for (size_t i = 0; i < length; ++i) {
    int8_t* const place = order[i] == 'b'   ? &site->batch
                          : order[i] == 's' ? &site->token
                          : order[i] == 'h' ? &site->head
                          : order[i] == 'd' ? &site->lane
                                            : NULL;
    if (place == NULL || *place >= 0) return false;
    *place = (int8_t)i;
  }
  site->ndim = (int8_t)length;
  return site->token >= 0 && site->lane >= 0;
}

static bool read_positions(Site* site, const char* kind) {
  static const char* const names[] = {"start", "ids", "offsets", "ragged"};
  for (int i = 0; i < 4; ++i) {
    if (strcmp(kind, names[i]) != 0) continue;
    site->positions = (PositionKind)i;
    return true;
  }
  return false;
}

static PyObject* site_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static char* names[] = {"order", "positions", "in_place", "axes",   "gathered", "tables", "ranks",
                          "rank",  "make",      "grouped",  "brings", "lanes",    NULL};
  const char* order = NULL;
  const char* positions = NULL;
  int in_place = 0, axes = 0, gathered = 0, tables = 0, grouped = 0;
  long long ranks = 1, rank = 0;
  PyObject* make = NULL;
  int brings[OPERANDS] = {-1, 0, 0};
  long long lanes[OPERANDS] = {0, 0, 0};
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "sspppiLLO|p(iii)(LLL)", names, &order, &positions, &in_place,
                                   &axes, &gathered, &tables, &ranks, &rank, &make, &grouped, &brings[ROPEJIT_Q],
                                   &brings[ROPEJIT_K], &brings[ROPEJIT_V], &lanes[ROPEJIT_Q], &lanes[ROPEJIT_K],
                                   &lanes[ROPEJIT_V])) {
    return NULL;
  }
  Site read;
  memset(&read, 0, sizeof read);
  if (!read_order(&read, order)) {
    return PyErr_Format(PyExc_ValueError,
                        "dims: found \"%s\", allowed: an order of the letters s and d, with or without b and h", order);
  }
  if (grouped != 0 && read.head < 0) {
    return PyErr_Format(PyExc_ValueError, "dims: found \"%s\", allowed with grouped_q: an order with h", order);
  }
  if (!read_positions(&read, positions) || tables < 0 || tables > 2) {
    return PyErr_Format(PyExc_ValueError, "positions: found \"%s\", allowed: start, ids, offsets or ragged", positions);
  }
  Site* const self = (Site*)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
  if (self == NULL) return NULL;
  self->batch = read.batch;
  self->token = read.token;
  self->head = read.head;
  self->lane = read.lane;
  self->ndim = read.ndim;
  self->positions = read.positions;
  self->in_place = in_place != 0;
  self->axes = axes != 0;
  self->gathered = gathered != 0;
  self->grouped = grouped != 0;
  self->tables = tables;
  self->ranks = ranks;
  self->rank = rank;
  self->paged = brings[ROPEJIT_Q] >= 0;
  for (int i = 0; i < OPERANDS; ++i) {
    self->brings[i] = self->paged ? brings[i] : 0;
    self->lanes[i] = lanes[i];
  }
  Py_INCREF(make);
  self->make = make;
  return (PyObject*)self;
}

static void site_free(PyObject* object) {
  Site* const self = (Site*)object;
  for (Entry* entry = self->entries; entry != NULL;) {
    Entry* const next = entry->next;
    Py_DECREF(entry->kernel);
    free(entry);
    entry = next;
  }
  Py_XDECREF(self->make);
  free_object(object);
}

static PyObject* given(PyObject* argument) { return argument == Py_None ? NULL : argument; }

/* What run and store have in common, from positions on. False: an exception. */
static bool read_rest(Call* call, PyObject* const* arguments) {
  call->positions = given(arguments[0]);
  call->cos = given(arguments[1]);
  call->sin = given(arguments[2]);
  call->cu_seqlens = given(arguments[3]);
  call->start = PyLong_AsLongLong(arguments[4]);
  if (call->start == -1 && PyErr_Occurred()) return false;
  const long flags = PyLong_AsLong(arguments[5]);
  if (flags == -1 && PyErr_Occurred()) return false;
  call->forced = (flags & 1) != 0;
  call->last = (flags & 2) != 0;
  return true;
}

static PyObject* site_run(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 8) {
    PyErr_SetString(PyExc_TypeError, "run(q, k, positions, cos, sin, cu_seqlens, start, flags)");
    return NULL;
  }
  Call call;
  memset(&call, 0, sizeof call);
  call.operand[ROPEJIT_Q].in = arguments[0];
  call.operand[ROPEJIT_K].in = given(arguments[1]);
  return read_rest(&call, arguments + 2) ? rotate((Site*)self, &call) : NULL;
}

/* Slots or rows as a tensor, or a page table: (pages, first entries, last pages' lengths, requests, places of tokens).
 */
static void read_rows_of(Call* call, CallOperand* operand, PyObject* rows) {
  operand->rows = given(rows);
  if (rows == NULL || !PyTuple_Check(rows) || PyTuple_Size(rows) != 5) return;
  operand->by_table = true;
  operand->rows = PyTuple_GetItem(rows, 0);
  operand->first_entries = given(PyTuple_GetItem(rows, 1));
  operand->last_page_lengths = given(PyTuple_GetItem(rows, 2));
  call->token_requests = given(PyTuple_GetItem(rows, 3));
  call->token_places = given(PyTuple_GetItem(rows, 4));
}

static PyObject* site_store(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 9 || !PyTuple_Check(arguments[0]) || !PyTuple_Check(arguments[1]) || !PyTuple_Check(arguments[2])) {
    PyErr_SetString(
        PyExc_TypeError,
        "store((q, out, rows, beside, weight, statistic, statistic_out, norm_bias, bias, head_scales), (k, ...), "
        "(v, ...), positions, cos, sin, cu_seqlens, start, flags)");
    return NULL;
  }
  Call call;
  memset(&call, 0, sizeof call);
  call.stores = true;
  for (int i = 0; i < OPERANDS; ++i) {
    CallOperand* const operand = &call.operand[i];
    if (PyTuple_Size(arguments[i]) < 3) continue; /* () is none */
    operand->in = PyTuple_GetItem(arguments[i], 0);
    operand->out = given(PyTuple_GetItem(arguments[i], 1));
    read_rows_of(&call, operand, PyTuple_GetItem(arguments[i], 2));
    if (PyTuple_Size(arguments[i]) < 10) continue; /* a Rotation's */
    operand->beside = given(PyTuple_GetItem(arguments[i], 3));
    operand->weight = given(PyTuple_GetItem(arguments[i], 4));
    operand->statistic = given(PyTuple_GetItem(arguments[i], 5));
    operand->statistic_out = given(PyTuple_GetItem(arguments[i], 6));
    operand->norm_bias = given(PyTuple_GetItem(arguments[i], 7));
    operand->bias = given(PyTuple_GetItem(arguments[i], 8));
    operand->head_scales = given(PyTuple_GetItem(arguments[i], 9));
  }
  if (call.operand[ROPEJIT_Q].in == NULL) return PyErr_Format(PyExc_ValueError, "q: found none, allowed: an operand");
  return read_rest(&call, arguments + 3) ? rotate((Site*)self, &call) : NULL;
}

static PyMethodDef site_methods[] = {
    {"run", (PyCFunction)(void (*)(void))site_run, METH_FASTCALL,
     "run(q, k, positions, cos, sin, cu_seqlens, start, flags) -> (q, k), or None where only the long way will do.\n"
     "flags: 1: do not look at gradients and modes; 2: raise what fails"},
    {"store", (PyCFunction)(void (*)(void))site_store, METH_FASTCALL,
     "store(q, k, v, positions, cos, sin, cu_seqlens, start, flags) -> the same; q, k and v are (tensor, where it is\n"
     "written or None, rows or slots or a page table of five or None), or () for one that is not there, and in a "
     "Prologue behind those, each "
     "or\n"
     "None, where k is written beside its cache, a norm's weights, its given statistic, where its statistic is\n"
     "written, its biases, the operand's bias, its scales of heads"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot site_slots[] = {
    {Py_tp_new, (void*)site_new},
    {Py_tp_dealloc, (void*)site_free},
    {Py_tp_methods, site_methods},
    {Py_tp_doc, "One kind of rotation, and the kernels that its calls needed so far"},
    {0, NULL},
};

PyType_Spec site_spec = {"ropejit._native.Site", sizeof(Site), 0, Py_TPFLAGS_DEFAULT, site_slots};
