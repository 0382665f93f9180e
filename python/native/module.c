/* The extension module ropejit._native: what it takes from torch, and its types. */
#include <string.h>

#include "native.h"

Torch torch;
PyObject* native_error;
PyObject* kernel_type;

/* The dictionary's object of that name, as a new reference; None counts as NULL. */
static PyObject* taken(PyObject* from, const char* name) {
  PyObject* const object = PyDict_GetItemString(from, name);
  if (object == NULL || object == Py_None) return NULL;
  Py_INCREF(object);
  return object;
}

static Method method_of(PyObject* tensor, const char* name) {
  Method method = {name, NULL};
  PyObject* const bound = tensor == NULL ? NULL : PyObject_GetAttrString(tensor, name);
  if (bound != NULL && PyCFunction_Check(bound) && PyCFunction_GetFlags(bound) == METH_NOARGS) {
    method.function = PyCFunction_GetFunction(bound);
  }
  PyErr_Clear();
  Py_XDECREF(bound);
  return method;
}

static PyObject* setup(PyObject* module, PyObject* from) {
  (void)module;
  if (!PyDict_Check(from)) {
    PyErr_SetString(PyExc_TypeError, "setup: found something else, allowed: a dict");
    return NULL;
  }
  Torch read;
  memset(&read, 0, sizeof read);
  read.tensor_type = taken(from, "tensor_type");
  read.parameter_type = taken(from, "parameter_type");
  read.empty_like = taken(from, "empty_like");
  read.empty_strided_cuda = taken(from, "empty_strided_cuda");
  read.is_grad_enabled = taken(from, "is_grad_enabled");
  read.increment_version = taken(from, "increment_version");
  read.current_device = taken(from, "current_device");
  read.raw_stream = taken(from, "raw_stream");
  read.probes = taken(from, "probes");
  read.dtypes = taken(from, "dtypes");
  read.forward_ad = taken(from, "forward_ad");
  read.is_neg = method_of(PyDict_GetItemString(from, "a_tensor"), "is_neg");
  read.is_conj = method_of(PyDict_GetItemString(from, "a_tensor"), "is_conj");
  read.level_name = PyUnicode_InternFromString("_current_level");
  read.requires_grad_name = PyUnicode_InternFromString("requires_grad");
  if (read.level_name == NULL || read.requires_grad_name == NULL) return NULL;
  if (read.forward_ad == NULL || !PyDict_Check(read.forward_ad) || read.tensor_type == NULL ||
      read.parameter_type == NULL || read.empty_like == NULL || read.is_grad_enabled == NULL ||
      read.increment_version == NULL || read.raw_stream == NULL || read.probes == NULL || !PyTuple_Check(read.probes) ||
      read.dtypes == NULL || !PyDict_Check(read.dtypes)) {
    PyErr_SetString(PyExc_TypeError, "setup: something is missing");
    return NULL;
  }
  PyObject* dtype;
  PyObject* number;
  for (Py_ssize_t at = 0; PyDict_Next(read.dtypes, &at, &dtype, &number);) {
    const long place = PyLong_AsLong(number);
    if (place > DTYPE_OTHER && place < DTYPES) read.dtype_objects[place] = dtype;
  }
  if (PyErr_Occurred()) return NULL;
  PyObject* const capsule = PyDict_GetItemString(from, "exchange");
  if (capsule != NULL && PyCapsule_IsValid(capsule, EXCHANGE_CAPSULE)) {
    const ExchangeApi* const api = PyCapsule_GetPointer(capsule, EXCHANGE_CAPSULE);
    if (api->major == EXCHANGE_MAJOR && api->view != NULL && api->current_stream != NULL) {
      Py_INCREF(capsule);
      read.exchange = api;
    }
  }
  read.host_allowed = torch.host_allowed;
  torch = read; /* what an earlier call took is kept: a call on another thread may be using it */
  return PyBool_FromLong(torch.exchange != NULL);
}

static PyObject* allow_host(PyObject* module, PyObject* allowed) {
  (void)module;
  const int is_true = PyObject_IsTrue(allowed);
  if (is_true < 0) return NULL;
  const bool before = torch.host_allowed;
  torch.host_allowed = is_true != 0;
  return PyBool_FromLong(before);
}

static PyObject* version(PyObject* module, PyObject* nothing) {
  (void)module;
  (void)nothing;
  return PyUnicode_FromString(ropejit_version());
}

static PyMethodDef methods[] = {
    {"setup", setup, METH_O, "setup(dict): what is used of torch; True where tensors are read by the exchange API"},
    {"allow_host", allow_host, METH_O, "allow_host(bool): whether CPU tensors are served; returns what held before"},
    {"version", version, METH_NOARGS, "The version of libropejit"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "ropejit's C ABI for Python", -1, methods, NULL, NULL, NULL, NULL,
};

static int add_type(PyObject* module, const char* name, PyType_Spec* spec, PyObject** keep) {
  PyObject* const type = PyType_FromSpec(spec);
  if (type == NULL) return 0;
  if (keep != NULL) *keep = type;
  Py_INCREF(type);
  return PyModule_AddObject(module, name, type) == 0;
}

PyMODINIT_FUNC PyInit__native(void) {
  PyObject* const module = PyModule_Create(&definition);
  if (module == NULL) return NULL;
  native_error = PyErr_NewException("ropejit._native.NativeError", PyExc_Exception, NULL);
  if (native_error == NULL) return NULL;
  Py_INCREF(native_error);
  if (PyModule_AddObject(module, "NativeError", native_error) != 0 ||
      !add_type(module, "Service", &service_spec, NULL) || !add_type(module, "Kernel", &kernel_spec, &kernel_type) ||
      !add_type(module, "Site", &site_spec, NULL)) {
    Py_DECREF(module);
    return NULL;
  }
  return module;
}
