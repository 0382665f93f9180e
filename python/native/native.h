/* What the files of the extension module share. The module has no torch headers: PyTorch is reached through the DLPack
 * exchange API, or where that is missing through the tensors' Python attributes. All functions need the GIL. */
#pragma once

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030A0000
#endif
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "exchange.h"
#include "ropejit/ropejit.h"

enum { MAX_DIMS = 8 };

/* Numbers of dtypes, as Python knows them too (_torch.py). */
enum { DTYPE_OTHER = 0, DTYPE_BF16, DTYPE_FP16, DTYPE_FP32, DTYPE_INT32, DTYPE_INT64, DTYPE_COMPLEX64, DTYPES };

/* What a tensor is. The arrays are the view's own. */
typedef struct View {
  void* data;
  int32_t device_type; /* EXCHANGE_CPU, EXCHANGE_CUDA, or else */
  int32_t device_id;
  int32_t ndim;
  int32_t dtype;
  int64_t shape[MAX_DIMS];
  int64_t strides[MAX_DIMS];
} View;

/* A method of torch.Tensor that takes nothing. */
typedef struct Method {
  const char* name;
  PyCFunction function; /* its C function, for tensors of plain types: a third of the time; NULL: call it by its name */
} Method;

/* What torch gave to setup(). Borrowed from the module for as long as the process lives. */
typedef struct Torch {
  PyObject* tensor_type;
  PyObject* parameter_type;
  PyObject* empty_like;
  PyObject* empty_strided_cuda; /* takes sizes, strides and a dtype, on the current device; NULL: use empty_like */
  PyObject* is_grad_enabled;
  PyObject* increment_version;  /* takes a tuple of tensors */
  PyObject* current_device;     /* NULL: there is but one */
  PyObject* raw_stream;         /* of a device's number; used without the exchange API */
  PyObject* probes;             /* a tuple of functions that return something true where a mode or a trace is on */
  PyObject* forward_ad;         /* the dictionary of torch.autograd.forward_ad */
  PyObject* level_name;         /* "_current_level": below 0 there, no tensor has a forward-mode tangent */
  PyObject* requires_grad_name; /* "requires_grad" */
  Method is_neg;
  Method is_conj;
  PyObject* dtypes;                /* {torch.dtype: one of the numbers above}; used without the exchange API */
  PyObject* dtype_objects[DTYPES]; /* those of the dictionary, by number; NULL where there is none */
  const ExchangeApi* exchange;     /* NULL: use attributes */
  bool host_allowed;
} Torch;

extern Torch torch;

/* 1: read; 0: not a tensor whose numbers are those in its memory (no exception is set): subclasses, sparse tensors,
 * those of more than MAX_DIMS dimensions, and those with lazy conjugation or negation. */
int view_tensor(PyObject* object, View* out);
/* The same for a tensor that torch has just allocated, whose numbers do not count yet. */
int view_memory(PyObject* object, View* out);

/* The stream that torch queues work of that device on. 1, or 0 and an exception. */
int current_stream(const View* tensor, void** out);

/* Raises what `status` stands for, with ropejit's own words. Always NULL. */
PyObject* raise_status(ropejit_status status);

/* The ropejit_kernel of a Kernel; NULL and a TypeError for other objects. */
const ropejit_kernel* kernel_of(PyObject* object);
/* The torch.dtype that it writes where that is not the input's, else NULL. Borrowed. */
PyObject* output_dtype_of(PyObject* object);

/* model_ropes(config, options): JSON of ropejit_model_ropes. */
PyObject* model_ropes(PyObject* module, PyObject* arguments);

extern PyObject* native_error;
extern PyType_Spec service_spec, kernel_spec, site_spec;
extern PyObject* kernel_type;

/* A heap type with nothing but tp_dealloc to do: frees the object and lets go of its type. */
void free_object(PyObject* self);
