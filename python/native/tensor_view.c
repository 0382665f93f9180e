/* Reading torch tensors. */
#include <string.h>

#include "native.h"

static int32_t dtype_of(uint8_t code, uint8_t bits) {
  if (code == EXCHANGE_BFLOAT && bits == 16) return DTYPE_BF16;
  if (code == EXCHANGE_FLOAT && bits == 16) return DTYPE_FP16;
  if (code == EXCHANGE_FLOAT && bits == 32) return DTYPE_FP32;
  if (code == EXCHANGE_INT && bits == 32) return DTYPE_INT32;
  if (code == EXCHANGE_INT && bits == 64) return DTYPE_INT64;
  if (code == EXCHANGE_COMPLEX && bits == 64) return DTYPE_COMPLEX64;
  return DTYPE_OTHER;
}

static int view_by_exchange(PyObject* object, View* out) {
  ExchangeTensor tensor;
  if (torch.exchange->view(object, &tensor) != 0) return 0;
  if (tensor.ndim > MAX_DIMS || tensor.dtype_lanes != 1) return 0;
  if (tensor.ndim > 0 && (tensor.shape == NULL || tensor.strides == NULL)) return 0;
  out->data = (char*)tensor.data + tensor.byte_offset;
  out->device_type = tensor.device_type;
  out->device_id = tensor.device_id;
  out->ndim = tensor.ndim;
  out->dtype = dtype_of(tensor.dtype_code, tensor.dtype_bits);
  for (int32_t i = 0; i < tensor.ndim; ++i) {
    out->shape[i] = tensor.shape[i];
    out->strides[i] = tensor.strides[i];
  }
  return 1;
}

/* A tuple of integers. Its length, or -1. */
static int32_t read_numbers(PyObject* tuple, int64_t* out) {
  if (tuple == NULL || !PyTuple_Check(tuple) || PyTuple_Size(tuple) > MAX_DIMS) return -1;
  const Py_ssize_t count = PyTuple_Size(tuple);
  for (Py_ssize_t i = 0; i < count; ++i) {
    out[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
    if (out[i] == -1 && PyErr_Occurred()) return -1;
  }
  return (int32_t)count;
}

static int read_device(PyObject* object, View* out) {
  PyObject* const device = PyObject_GetAttrString(object, "device");
  PyObject* const kind = device == NULL ? NULL : PyObject_GetAttrString(device, "type");
  PyObject* const index = device == NULL ? NULL : PyObject_GetAttrString(device, "index");
  int read = 0;
  if (kind != NULL && index != NULL && PyUnicode_Check(kind)) {
    out->device_type = PyUnicode_CompareWithASCIIString(kind, "cpu") == 0    ? EXCHANGE_CPU
                       : PyUnicode_CompareWithASCIIString(kind, "cuda") == 0 ? EXCHANGE_CUDA
                                                                             : 0;
    out->device_id = index == Py_None ? 0 : (int32_t)PyLong_AsLong(index);
    read = !PyErr_Occurred();
  }
  Py_XDECREF(kind);
  Py_XDECREF(index);
  Py_XDECREF(device);
  return read;
}

static int view_by_attributes(PyObject* object, View* out) {
  PyObject* const shape = PyObject_GetAttrString(object, "shape");
  PyObject* const strides = shape == NULL ? NULL : PyObject_CallMethod(object, "stride", NULL);
  PyObject* const data = strides == NULL ? NULL : PyObject_CallMethod(object, "data_ptr", NULL);
  PyObject* const dtype = data == NULL ? NULL : PyObject_GetAttrString(object, "dtype");
  int read = 0;
  if (dtype != NULL) {
    out->data = PyLong_AsVoidPtr(data);
    out->ndim = read_numbers(shape, out->shape);
    PyObject* const number = PyDict_GetItem(torch.dtypes, dtype);
    out->dtype = number == NULL ? DTYPE_OTHER : (int32_t)PyLong_AsLong(number);
    read = !PyErr_Occurred() && out->ndim >= 0 && read_numbers(strides, out->strides) == out->ndim &&
           read_device(object, out);
  }
  Py_XDECREF(shape);
  Py_XDECREF(strides);
  Py_XDECREF(data);
  Py_XDECREF(dtype);
  return read;
}

/* Memory that was given back, or was never there, cannot be launched on. */
static bool has_memory(const View* view) {
  if (view->data != NULL) return true;
  for (int32_t i = 0; i < view->ndim; ++i) {
    if (view->shape[i] == 0) return true;
  }
  return false;
}

int view_memory(PyObject* object, View* out) {
  PyObject* const type = (PyObject*)Py_TYPE(object);
  /* Of other types the functions of the exchange API know nothing. */
  if (type != torch.tensor_type && type != torch.parameter_type) return 0;
  const int read = torch.exchange != NULL ? view_by_exchange(object, out) : view_by_attributes(object, out);
  if (!read) PyErr_Clear();
  return read && has_memory(out);
}

/* What fails counts as true: the long way will say. */
static bool is_true_of(const Method* method, PyObject* tensor) {
  PyObject* const result =
      method->function != NULL ? method->function(tensor, NULL) : PyObject_CallMethod(tensor, method->name, NULL);
  const bool truth = result != Py_False;
  if (result == NULL) PyErr_Clear();
  Py_XDECREF(result);
  return truth;
}

/* Neither API tells of the lazy bits. */
int view_tensor(PyObject* object, View* out) {
  if (!view_memory(object, out) || is_true_of(&torch.is_neg, object)) return 0;
  return out->dtype != DTYPE_COMPLEX64 || !is_true_of(&torch.is_conj, object);
}

int current_stream(const View* tensor, void** out) {
  *out = NULL;
  if (tensor->device_type != EXCHANGE_CUDA) return 1;
  if (torch.exchange != NULL) return torch.exchange->current_stream(EXCHANGE_CUDA, tensor->device_id, out) == 0;
  PyObject* const stream = PyObject_CallFunction(torch.raw_stream, "i", (int)tensor->device_id);
  if (stream == NULL) return 0;
  *out = PyLong_AsVoidPtr(stream);
  Py_DECREF(stream);
  return !PyErr_Occurred();
}
